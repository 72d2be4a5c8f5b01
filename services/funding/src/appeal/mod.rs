//! The appeal: what the open needs come to, what is pledged towards them, and what is missing.

pub mod rpc;
pub mod store;

use std::collections::BTreeMap;

use uuid::Uuid;

/// Open needs of one kind in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub kind: String,
    pub currency: String,
    pub open_needs: i64,
    pub needed: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// None: for any kind.
    pub kind: Option<String>,
    pub currency: String,
    pub minor: i64,
    pub grant_id: Option<Uuid>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// None: the total of the currency.
    pub kind: Option<String>,
    pub currency: String,
    pub open_needs: i64,
    pub needed: i64,
    pub pledged: i64,
    pub gap: i64,
}

/// Takes from the promises, oldest first, what their grants have received.
pub fn unpaid(promises: Vec<Promise>, mut received: BTreeMap<Uuid, i64>) -> Vec<Promise> {
    (promises.into_iter())
        .map(|mut promise| {
            if let Some(left) = promise.grant_id.and_then(|id| received.get_mut(&id)) {
                let paid = promise.minor.min(*left);
                *left -= paid;
                promise.minor -= paid;
            }
            promise
        })
        .collect()
}

/// Lines by kind and currency, then totals by currency.
pub fn appeal(wanted: &[Wanted], promises: &[Promise]) -> (Vec<Line>, Vec<Line>) {
    let mut lines: BTreeMap<(Option<String>, String), Line> = BTreeMap::new();
    let mut totals = BTreeMap::new();
    let mut add = |kind: Option<&str>, currency: &str, needs: i64, needed: i64, pledged: i64| {
        let (of_kind, of_all) = (kind.map(|k| Some(k.to_owned())), None);
        for (map, kind) in [(&mut lines, of_kind), (&mut totals, Some(of_all))] {
            let Some(kind) = kind else { continue };
            let line = map.entry((kind.clone(), currency.to_owned())).or_insert_with(|| Line {
                kind,
                currency: currency.to_owned(),
                open_needs: 0,
                needed: 0,
                pledged: 0,
                gap: 0,
            });
            line.open_needs += needs;
            line.needed += needed;
            line.pledged += pledged;
            line.gap = (line.needed - line.pledged).max(0);
        }
    };
    for w in wanted {
        add(Some(&w.kind), &w.currency, w.open_needs, w.needed, 0);
    }
    for p in promises.iter().filter(|p| p.minor > 0) {
        add(p.kind.as_deref(), &p.currency, 0, 0, p.minor);
    }
    (lines.into_values().collect(), totals.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(kind: Option<&str>, minor: i64, grant: Option<u128>) -> Promise {
        Promise { kind: kind.map(str::to_owned), currency: "USD".into(), minor, grant_id: grant.map(Uuid::from_u128) }
    }

    #[test]
    fn the_gap_is_what_nobody_has_promised() {
        let wanted = |kind: &str, needs, needed| Wanted { kind: kind.into(), currency: "USD".into(), open_needs: needs, needed };
        let wanted = [wanted("livestock", 3, 900), wanted("shelter", 2, 2000)];
        let (lines, totals) = appeal(&wanted, &[promise(Some("shelter"), 500, None), promise(None, 400, None)]);
        assert_eq!(lines.iter().map(|l| l.gap).collect::<Vec<_>>(), [900, 1500]);
        assert_eq!(totals.iter().map(|t| (t.open_needs, t.needed, t.pledged, t.gap)).collect::<Vec<_>>(), [(5, 2900, 900, 2000)]);
    }

    #[test]
    fn a_promise_that_is_paid_is_no_promise_any_more() {
        let received = BTreeMap::from([(Uuid::from_u128(1), 700)]);
        let left = unpaid(vec![promise(None, 500, Some(1)), promise(None, 500, Some(1)), promise(None, 9, Some(2))], received);
        assert_eq!(left.iter().map(|p| p.minor).collect::<Vec<_>>(), [0, 300, 9]);
    }
}
