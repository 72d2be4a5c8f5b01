//! What plans, projects and campaigns need, as funding tells of it: open until a grant keeps money for it, then reserved,
//! committed and spent, or over.

pub mod store;

use tahuka_chassis::coded;
use uuid::Uuid;

use crate::indicator::Cell;

coded!(
    Stage {
        Open = 1 "open",
        Reserved = 2 "reserved",
        Committed = 3 "committed",
        Spent = 4 "spent",
        Over = 5 "over",
    }
);

/// What a need holds of a grant, or asks for while it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    pub stage: Stage,
    pub district: String,
    /// plan, project or campaign.
    pub need_kind: String,
    /// Package kind for a plan, else the same as need_kind.
    pub kind: String,
    /// Empty while open.
    pub grant_id: String,
    pub minor: i64,
    pub currency: String,
    /// The custodian in whose cells it is counted.
    pub counted_by: Uuid,
}

impl Need {
    /// The need as it comes after `before`: money that a grant holds stays counted where it was counted first, since an
    /// event tells who answers for the need and not who answers for the grant.
    pub fn after(self, before: Option<&Need>) -> Need {
        let same_money = before.filter(|b| !b.grant_id.is_empty() && b.grant_id == self.grant_id);
        Need { counted_by: same_money.map_or(self.counted_by, |b| b.counted_by), ..self }
    }

    /// What the need adds to the cells in its stage. `cell` makes one of the month in question.
    fn counts(&self, cell: &dyn Fn(&'static str) -> Cell) -> Vec<(Cell, i64)> {
        let cell = |code| cell(code).custodian(self.counted_by).district(&self.district).kind(&self.kind);
        let money = |code| (cell(code).grant(&self.grant_id).currency(&self.currency), self.minor);
        match self.stage {
            Stage::Open => {
                let mut counts = vec![(cell("money_needed").currency(&self.currency), self.minor), (cell("needs_open"), 1)];
                if self.need_kind == "plan" {
                    counts.push((cell("plans_waiting"), 1));
                }
                counts
            }
            Stage::Reserved => vec![money("money_reserved")],
            Stage::Committed => vec![money("money_committed")],
            Stage::Spent => vec![money("money_spent")],
            Stage::Over => Vec::new(),
        }
    }

    /// What going from `before` to `self` adds to the cells and takes from them. What was spent stays spent.
    pub fn change(&self, before: Option<&Need>, cell: &dyn Fn(&'static str) -> Cell) -> Vec<(Cell, i64)> {
        let gone = before.filter(|b| b.stage != Stage::Spent).map(|b| b.counts(cell)).unwrap_or_default();
        gone.into_iter().map(|(cell, value)| (cell, -value)).chain(self.counts(cell)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn need(stage: Stage, grant: &str, minor: i64) -> Need {
        Need {
            stage,
            district: "RW33".into(),
            need_kind: "plan".into(),
            kind: "livestock".into(),
            grant_id: grant.into(),
            minor,
            currency: "USD".into(),
            counted_by: Uuid::nil(),
        }
    }

    /// The sums after a need has gone through these stages.
    fn after(steps: &[Need]) -> BTreeMap<&'static str, i64> {
        let cell = |code| Cell::of(Uuid::nil(), Uuid::nil(), "2012-09-01".parse().unwrap(), code);
        let mut sums: BTreeMap<&'static str, i64> = BTreeMap::new();
        for (n, step) in steps.iter().enumerate() {
            for (cell, value) in step.change(n.checked_sub(1).map(|b| &steps[b]), &cell) {
                let std::borrow::Cow::Borrowed(indicator) = cell.indicator else { panic!("a code of the catalogue") };
                *sums.entry(indicator).or_default() += value;
            }
        }
        sums.retain(|_, value| *value != 0);
        sums
    }

    #[test]
    fn money_moves_on_and_is_never_counted_twice() {
        let (open, kept) = (need(Stage::Open, "", 300), need(Stage::Reserved, "g", 300));
        assert_eq!(
            after(std::slice::from_ref(&open)),
            BTreeMap::from([("money_needed", 300), ("needs_open", 1), ("plans_waiting", 1)])
        );
        assert_eq!(after(&[open.clone(), kept.clone()]), BTreeMap::from([("money_reserved", 300)]));
        let committed = need(Stage::Committed, "g", 300);
        assert_eq!(after(&[open.clone(), kept.clone(), committed.clone()]), BTreeMap::from([("money_committed", 300)]));
        let spent = need(Stage::Spent, "g", 280);
        assert_eq!(after(&[kept.clone(), committed, spent]), BTreeMap::from([("money_spent", 280)]));
        assert!(after(&[open, kept, need(Stage::Over, "g", 300)]).is_empty());
    }

    #[test]
    fn what_is_left_behind_is_taken_from_where_it_was_counted() {
        let (sender, recipient) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let kept = Need { counted_by: sender, ..need(Stage::Reserved, "g", 300) };
        let committed = Need { counted_by: recipient, ..need(Stage::Committed, "g", 300) }.after(Some(&kept));
        assert_eq!(committed.counted_by, sender, "the same grant's money");
        let other = Need { counted_by: recipient, ..need(Stage::Reserved, "h", 300) }.after(Some(&kept));
        assert_eq!(other.counted_by, recipient);
        let cell = |code| Cell::of(Uuid::nil(), recipient, "2012-09-01".parse().unwrap(), code);
        let change: Vec<_> = other.change(Some(&kept), &cell).into_iter().map(|(c, v)| (c.custodian_id, v)).collect();
        assert_eq!(change, [(sender, -300), (recipient, 300)]);
    }

    #[test]
    fn what_was_spent_stays_spent() {
        let steps = [need(Stage::Spent, "g", 200), need(Stage::Spent, "g", 80), need(Stage::Over, "g", 20)];
        assert_eq!(after(&steps), BTreeMap::from([("money_spent", 280)]));
    }
}
