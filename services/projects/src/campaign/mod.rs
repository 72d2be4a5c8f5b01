//! A campaign: planned, then held (and paid) or cancelled. A national one is held everywhere, a local one in a district.

pub mod rpc;
pub mod store;

use chrono::NaiveDate;
use tahuka_chassis::{Amount, Refusal, coded};

coded!(Level { National = 1 "national", Local = 2 "local" });

coded!(State { Planned = 1 "planned", Held = 2 "held", Cancelled = 3 "cancelled" });

coded!(Channel {
    Radio = 1 "radio",
    Television = 2 "television",
    Print = 3 "print",
    CommunityMeeting = 4 "community_meeting",
    School = 5 "school",
    Theatre = 6 "theatre",
    TransitCentre = 7 "transit_centre",
});

/// More than live in the region.
const WIDEST_REACH: i64 = 1_000_000_000;

/// What changes of a campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    pub state: State,
    pub starts_on: NaiveDate,
    pub held: Option<Holding>,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    pub on: NaiveDate,
    /// People, as its organisers estimate.
    pub reach: i64,
    pub cost: Amount,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Hold(Holding),
    Cancel,
}

impl Campaign {
    pub fn next(mut self, command: Command) -> Result<Campaign, Refusal> {
        if self.state != State::Planned {
            return Err(Refusal::precondition("CAMPAIGN_OVER", "the campaign has been held or cancelled already"));
        }
        match command {
            Command::Hold(holding) => {
                if holding.on < self.starts_on {
                    return Err(Refusal::invalid("held_on", "must not be before starts_on"));
                }
                if !(0..=WIDEST_REACH).contains(&holding.reach) {
                    return Err(Refusal::invalid("reach", "must be 0 to 1000000000"));
                }
                (self.state, self.held) = (State::Held, Some(holding));
            }
            Command::Cancel => self.state = State::Cancelled,
        }
        Ok(self)
    }
}

/// Where it is held: the district of a local one, '' for a national one.
pub fn district(level: Level, told: Option<String>) -> Result<String, Refusal> {
    match (level, told) {
        (Level::National, None) => Ok(String::new()),
        (Level::National, Some(_)) => Err(Refusal::invalid("district", "must be empty for a national campaign")),
        (Level::Local, Some(district)) => Ok(district),
        (Level::Local, None) => Err(Refusal::invalid("district", "must be given for a local campaign")),
    }
}

/// At least one, each once.
pub fn channels(numbers: &[i32]) -> Result<Vec<Channel>, Refusal> {
    let mut channels = Vec::new();
    for (i, number) in numbers.iter().enumerate() {
        let field = format!("channels[{i}]");
        let channel = Channel::numbered(*number).ok_or_else(|| Refusal::invalid(&field, "must be a channel"))?;
        if channels.contains(&channel) {
            return Err(Refusal::invalid(field, "is named twice"));
        }
        channels.push(channel);
    }
    if channels.is_empty() { Err(Refusal::invalid("channels", "must name at least one")) } else { Ok(channels) }
}

#[cfg(test)]
mod tests {
    use tahuka_chassis::Currency;

    use super::*;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2012, 3, day).unwrap()
    }

    fn planned() -> Campaign {
        Campaign { state: State::Planned, starts_on: day(5), held: None }
    }

    fn hold(on: u32, reach: i64) -> Command {
        let cost = Amount { minor: 500, currency: Currency::parse("USD").unwrap() };
        Command::Hold(Holding { on: day(on), reach, cost })
    }

    #[test]
    fn it_is_held_once_and_not_before_it_starts() {
        assert_eq!(planned().next(hold(5, 300)).map(|c| c.state).unwrap(), State::Held);
        assert!(planned().next(hold(4, 300)).is_err());
        assert!(planned().next(hold(5, -1)).is_err());
        let held = planned().next(hold(6, 0)).unwrap();
        assert!(held.clone().next(hold(7, 0)).is_err());
        assert!(held.next(Command::Cancel).is_err());
    }

    #[test]
    fn what_is_cancelled_is_not_held() {
        let cancelled = planned().next(Command::Cancel).unwrap();
        assert!(cancelled.held.is_none());
        assert!(cancelled.next(hold(6, 0)).is_err());
    }

    #[test]
    fn only_a_local_one_has_a_district() {
        assert_eq!(district(Level::Local, Some("RW43".into())).ok().as_deref(), Some("RW43"));
        assert_eq!(district(Level::National, None).ok().as_deref(), Some(""));
        assert!(district(Level::Local, None).is_err());
        assert!(district(Level::National, Some("RW43".into())).is_err());
    }

    #[test]
    fn it_has_channels() {
        assert_eq!(channels(&[1, 6]).ok(), Some(vec![Channel::Radio, Channel::Theatre]));
        assert!(channels(&[]).is_err() && channels(&[0]).is_err() && channels(&[1, 1]).is_err() && channels(&[8]).is_err());
    }
}
