//! Chance that comes out the same everywhere and for ever: SplitMix64, written here so that no library's next version
//! changes the files.

use chrono::{Datelike, Days, NaiveDate, Weekday};

const SEED: u64 = 2010_0907;

pub struct Dice(u64);

impl Dice {
    /// A stream of its own for each purpose: more rolls in one file leave the others as they are.
    pub fn of(purpose: &str) -> Self {
        let fnv = purpose.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self(fnv ^ SEED)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `n` - 1.
    pub fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n.max(1)).unwrap_or(1);
        usize::try_from(self.roll() % n).unwrap_or(0)
    }

    /// Both ends included.
    pub fn between(&mut self, from: i32, to: i32) -> i32 {
        let span = u64::from(to.abs_diff(from)) + 1;
        from.saturating_add(i32::try_from(self.roll() % span).unwrap_or(0))
    }

    /// So many times in a thousand.
    pub fn happens(&mut self, per_mille: u32) -> bool {
        self.roll() % 1000 < u64::from(per_mille)
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// One of them, by weight.
    pub fn weigh<T: Copy>(&mut self, of: &[(T, u32)]) -> T {
        let total: u32 = of.iter().map(|(_, weight)| weight).sum();
        let mut at = u32::try_from(self.roll() % u64::from(total.max(1))).unwrap_or(0);
        for (what, weight) in of {
            if at < *weight {
                return *what;
            }
            at -= weight;
        }
        of[0].0
    }

    /// One of a list that begins with what is most frequent.
    pub fn pick_early<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let (a, b) = (self.below(of.len()), self.below(of.len()));
        if self.happens(650) { &of[a.min(b)] } else { &of[a] }
    }

    pub fn shuffle<T>(&mut self, of: &mut [T]) {
        for at in (1..of.len()).rev() {
            let other = self.below(at + 1);
            of.swap(at, other);
        }
    }

    pub fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + u8::try_from(self.roll() % 10).unwrap_or(0))).collect()
    }

    /// A day of work from one to the other.
    pub fn workday(&mut self, from: NaiveDate, to: NaiveDate) -> NaiveDate {
        let span = usize::try_from((to - from).num_days()).unwrap_or(0) + 1;
        let day = from + Days::new(self.below(span) as u64);
        if is_weekend(day) { workday_after(day).min(to) } else { day }
    }
}

fn is_weekend(day: NaiveDate) -> bool {
    matches!(day.weekday(), Weekday::Sat | Weekday::Sun)
}

/// The day itself, or the Monday after it.
pub fn workday_after(day: NaiveDate) -> NaiveDate {
    let mut day = day;
    while is_weekend(day) {
        day = day + Days::new(1);
    }
    day
}
