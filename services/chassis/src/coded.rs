//! Enums that are a word in the database and on the bus, and a number in the contract.

/// `coded!(State { Open = 1 "open", Closed = 2 "closed" });`
#[macro_export]
macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $number:literal $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($variant = $number),+ }

        #[allow(dead_code)]
        impl $name {
            pub const ALL: &[$name] = &[$($name::$variant),+];

            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.word() == word)
            }

            pub fn number(self) -> i32 {
                self as i32
            }

            /// None for a number that the contract does not have, 0 included.
            pub fn numbered(number: i32) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.number() == number)
            }

            /// The number of a word that the database holds.
            pub fn number_of(word: &str) -> i32 {
                Self::parse(word).map(Self::number).unwrap_or_default()
            }
        }
    };
}
