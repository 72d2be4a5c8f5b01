//! How clerks write what they hear: the same name in other letters, phones and national IDs in other forms.

use crate::dice::Dice;

/// The name as another clerk would have written it; itself where no habit applies.
pub fn otherwise(name: &str, dice: &mut Dice) -> String {
    const HABITS: &[(&str, &str)] = &[
        ("ri", "li"),
        ("ra", "la"),
        ("ru", "lu"),
        ("li", "ri"),
        ("la", "ra"),
        ("cyi", "ki"),
        ("jy", "gy"),
        ("nts", "ns"),
        ("Nts", "Ns"),
        ("mpf", "mf"),
        ("shy", "sh"),
        ("Nse", "Se"),
        ("Nk", "K"),
        ("nd", "d"),
        ("zi", "zzi"),
        ("mu", "mou"),
        ("Muka", "Muka "),
        ("Nyira", "Nyira "),
        ("rw", "gw"),
        ("b", "v"),
        ("Joseph", "Yozefu"),
        ("Jean Marie Vianney", "J.M.V."),
        ("Jean Bosco", "J. Bosco"),
        ("Jean de Dieu", "JDD"),
        ("Jean Damascène", "Damascène"),
        ("Marie", "Mariya"),
        ("Jeannette", "Janet"),
        ("Emmanuel", "Emanuel"),
        ("Théogène", "Theogen"),
        ("Djuma", "Juma"),
        ("Pierre", "Petero"),
        ("ph", "f"),
    ];
    let apply: Vec<_> = HABITS.iter().filter(|(from, _)| name.contains(from)).collect();
    if apply.is_empty() {
        return name.to_owned();
    }
    let (from, to) = dice.pick(&apply);
    name.replacen(from, to, 1)
}

/// Keyboards of the field had no accents, mostly.
pub fn plain(name: &str) -> String {
    let bare = |c| match c {
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'â' | 'à' => 'a',
        'ï' | 'î' => 'i',
        'ô' => 'o',
        'ç' => 'c',
        other => other,
    };
    name.chars().map(bare).collect()
}

/// Surnames are written in capitals, when one has the time.
pub fn surname(name: &str, dice: &mut Dice) -> String {
    match dice.below(100) {
        0..=86 => plain(name).to_uppercase(),
        87..=95 => name.to_owned(),
        96 | 97 => name.to_lowercase(),
        98 => format!("{} ", name.to_uppercase()),
        _ => format!("  {}", name.to_uppercase()),
    }
}

pub fn given(name: &str, dice: &mut Dice) -> String {
    match dice.below(100) {
        0..=47 => plain(name),
        48..=94 => name.to_owned(),
        95 | 96 => plain(name).to_uppercase(),
        97 => plain(name).to_lowercase(),
        98 => name.replace(' ', "  "),
        _ => format!("{name} "),
    }
}

/// `number` is the nine digits after the country code.
pub fn phone(number: &str, dice: &mut Dice) -> String {
    let (a, b, c) = (&number[..3], &number[3..6], &number[6..]);
    match dice.below(100) {
        0..=54 => format!("0{number}"),
        55..=67 => format!("0{a} {b} {c}"),
        68..=78 => format!("+250{number}"),
        79..=86 => format!("+250 {a} {b} {c}"),
        87..=91 => format!("250{number}"),
        92..=94 => number.to_owned(),
        95 | 96 => format!("0{a}-{b}-{c}"),
        97 => format!("0{a}.{b}.{c}"),
        98 => format!("(0{a}) {b} {c}"),
        _ => format!("00250{number}"),
    }
}

/// In the groups that are printed on the card, or without a space.
pub fn national_id(number: &str, dice: &mut Dice) -> String {
    if dice.happens(450) {
        return number.to_owned();
    }
    let part = |from: usize, to: usize| &number[from..to];
    [part(0, 1), part(1, 5), part(5, 6), part(6, 13), part(13, 14), part(14, 16)].join(" ")
}
