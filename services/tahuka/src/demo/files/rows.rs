//! The rows of the CSV files, by the names in their headers.

use serde::Deserialize;
use tahuka_proto::assistance::v1::{AssistanceKind, Outcome, ProofKind};
use tahuka_proto::projects::v1::{CampaignLevel, Channel, FacilityKind};

use super::values::{Answer, Day, Entries, Named as _, Word};

/// One trainee of a cohort.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trainee {
    pub cohort: String,
    pub provider: String,
    pub trade: String,
    pub district_pcode: String,
    pub starts_on: Day,
    pub ends_on: Day,
    pub capacity: i32,
    pub submission_id: String,
    pub result: TrainingResult,
    pub drop_out_reason: String,
    pub certificate_number: String,
    pub toolkit: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainingResult {
    Completed,
    DroppedOut,
}

/// One person of a distribution's list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    pub list: String,
    pub district_pcode: String,
    pub place_pcode: String,
    pub kind: Word<AssistanceKind>,
    pub planned_on: Day,
    pub submission_id: String,
    /// Absent where nobody came for it.
    pub delivered_on: Option<Day>,
    pub proof_kind: Option<Word<ProofKind>>,
    pub proof_reference: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visit {
    pub submission_id: String,
    pub visited_on: Day,
    pub outcome: Word<Outcome>,
    pub visitor: String,
}

/// One facility, with the project that builds it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facility {
    pub code: String,
    pub title: String,
    pub district_pcode: String,
    pub place_pcode: String,
    pub partners: Entries,
    pub budget_currency: String,
    pub budget_amount: String,
    pub cost_amount: String,
    pub phase: String,
    pub starts_on: Day,
    pub submitted_on: Day,
    pub approved_on: Day,
    pub completed_on: Day,
    pub facility_kind: Word<FacilityKind>,
    pub facility_name: String,
    pub facility_place_pcode: String,
    pub facility_completed_on: Day,
    pub counted_on: Day,
    pub method: String,
    pub f_0_4: i64,
    pub f_5_11: i64,
    pub f_12_17: i64,
    pub f_18_24: i64,
    pub f_25_59: i64,
    pub f_60: i64,
    pub m_0_4: i64,
    pub m_5_11: i64,
    pub m_12_17: i64,
    pub m_18_24: i64,
    pub m_25_59: i64,
    pub m_60: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    pub code: String,
    pub level: Word<CampaignLevel>,
    pub district_pcode: String,
    pub title: String,
    pub topic: String,
    pub channels: Entries,
    pub starts_on: Day,
    pub ends_on: Day,
    pub held_on: Day,
    pub reach: i64,
    pub cost_currency: String,
    pub cost_amount: String,
    pub phase: String,
}

impl Facility {
    /// Sex, age band and people.
    pub fn people(&self) -> [(&'static str, &'static str, i64); 12] {
        [
            ("female", "0-4", self.f_0_4),
            ("female", "5-11", self.f_5_11),
            ("female", "12-17", self.f_12_17),
            ("female", "18-24", self.f_18_24),
            ("female", "25-59", self.f_25_59),
            ("female", "60+", self.f_60),
            ("male", "0-4", self.m_0_4),
            ("male", "5-11", self.m_5_11),
            ("male", "12-17", self.m_12_17),
            ("male", "18-24", self.m_18_24),
            ("male", "25-59", self.m_25_59),
            ("male", "60+", self.m_60),
        ]
    }
}

impl Campaign {
    pub fn channels(&self) -> Vec<Channel> {
        self.channels.0.iter().filter_map(|word| Channel::of(word)).collect()
    }
}
