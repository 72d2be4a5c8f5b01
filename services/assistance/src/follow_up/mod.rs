//! Follow-up visits: what came of the assistance, months after.

pub mod rpc;
pub mod store;

use chrono::{Datelike, NaiveDate};
use tahuka_chassis::coded;

use crate::catalogue::Kind;

coded!(
    /// Each belongs to one kind of assistance, but that nobody was met.
    Outcome {
        Employed = 1 "employed",
        NotEmployed = 2 "not_employed",
        BusinessRunning = 3 "business_running",
        BusinessClosed = 4 "business_closed",
        LivestockAlive = 5 "livestock_alive",
        LivestockDied = 6 "livestock_died",
        LivestockSold = 7 "livestock_sold",
        HouseRoofed = 8 "house_roofed",
        HouseNotRoofed = 9 "house_not_roofed",
        NotFound = 10 "not_found",
    }
);

impl Outcome {
    pub fn fits(self, kind: Kind) -> bool {
        match self {
            Outcome::Employed | Outcome::NotEmployed => kind == Kind::VocationalTraining,
            Outcome::BusinessRunning | Outcome::BusinessClosed => kind == Kind::StartupCapital,
            Outcome::LivestockAlive | Outcome::LivestockDied | Outcome::LivestockSold => kind == Kind::Livestock,
            Outcome::HouseRoofed | Outcome::HouseNotRoofed => kind == Kind::Shelter,
            Outcome::NotFound => true,
        }
    }

    /// Sold livestock has served its owner too.
    pub fn favourable(self) -> bool {
        matches!(
            self,
            Outcome::Employed
                | Outcome::BusinessRunning
                | Outcome::LivestockAlive
                | Outcome::LivestockSold
                | Outcome::HouseRoofed
        )
    }
}

/// Whole months from one day to a later one.
pub fn months_between(from: NaiveDate, to: NaiveDate) -> i32 {
    let months = (to.year() - from.year()) * 12 + to.month().cast_signed() - from.month().cast_signed();
    if to.day() < from.day() { months - 1 } else { months }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_belongs_to_its_kind_of_assistance() {
        assert!(Outcome::HouseRoofed.fits(Kind::Shelter));
        assert!(!Outcome::HouseRoofed.fits(Kind::Livestock));
        for kind in Kind::ALL {
            assert!(Outcome::NotFound.fits(*kind));
            let own = Outcome::ALL.iter().filter(|o| o.fits(*kind) && **o != Outcome::NotFound);
            assert!(own.clone().any(|o| o.favourable()) && own.clone().any(|o| !o.favourable()), "{kind:?}");
        }
        assert!(!Outcome::NotFound.favourable());
    }

    #[test]
    fn a_month_is_whole_on_its_day() {
        let day = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).unwrap();
        assert_eq!(months_between(day(2012, 5, 15), day(2012, 5, 15)), 0);
        assert_eq!(months_between(day(2012, 5, 15), day(2012, 11, 14)), 5);
        assert_eq!(months_between(day(2012, 5, 15), day(2012, 11, 15)), 6);
        assert_eq!(months_between(day(2012, 11, 30), day(2013, 2, 28)), 2);
    }
}
