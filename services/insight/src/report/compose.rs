//! The report as one caller may see it, put together from tables.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike as _, NaiveDate};
use tahuka_chassis::{Refusal, Tx, edge};
use tahuka_proto::insight::v1::{self as proto, DistrictFigure, DistrictLine, GrantLine, ProgrammeReport, ReportSection};

use super::{DISTRICT, Figure as Spec, KINDS, REPORT, Source};
use crate::disclosure::{is_small, line, steps};
use crate::indicator::table::{Figure, Question, Table, Tables};
use crate::indicator::{self, Dimension, Unit};
use crate::published_figure::store::{self as published, Model as Published};
use crate::view::View;
use crate::{grant, helped};

/// The currency of a report without any money.
const CURRENCY: &str = "USD";

const GRANT_MONEY: [&str; 6] =
    ["money_granted", "money_received", "money_reserved", "money_committed", "money_spent", "money_pledged"];

pub async fn compose(tx: &Tx, view: &View, since: Option<NaiveDate>) -> Result<ProgrammeReport, Refusal> {
    let mut draft = Draft { tables: Tables { tx, view }, view, read: BTreeMap::new() };
    let since_figures = match since {
        Some(day) => Some((day, helped_since(tx, view, day).await?)),
        None => None,
    };
    // What was published is of the whole programme; beside a district's figure it would mislead.
    let published: BTreeMap<String, Published> = match view.whole {
        true => published::all(tx, view.programme).await?.into_iter().map(|row| (row.code.clone(), row)).collect(),
        false => BTreeMap::new(),
    };
    let currency = draft.main_currency().await?;
    let mut sections = Vec::new();
    for section in REPORT {
        let mut figures = Vec::new();
        for spec in section.figures.iter().filter(|spec| view.whole || !spec.nation_wide) {
            let mut shown = match spec.source {
                Source::Since(kind) => match &since_figures {
                    Some((day, counts)) => {
                        let figure = plain(spec, counts.get(kind).copied().unwrap_or_default());
                        vec![proto::Figure { label: spec.label.replace("since", &format!("since {day}")), ..figure }]
                    }
                    None => Vec::new(),
                },
                Source::Districts => vec![plain(spec, Figure { value: draft.districts_reached().await?, withheld: false })],
                Source::Total(code) => draft.figures(spec, code, None, &currency).await?,
                Source::Line(code, dimension, key) => draft.figures(spec, code, Some((dimension, key)), &currency).await?,
            };
            if let (Some(first), Some(row)) = (shown.first_mut(), published.get(spec.code)) {
                let (text, source) = (row.text.clone(), row.source.clone());
                first.published = Some(proto::Published { value: row.value, text, source });
            }
            figures.extend(shown);
        }
        sections.push(ReportSection { code: section.code.to_owned(), title: section.title.to_owned(), figures });
    }
    Ok(ProgrammeReport {
        programme_id: view.programme.to_string(),
        since: since.map(edge::to_date),
        sections,
        grants: grants(tx, &mut draft).await?,
        districts: draft.districts().await?,
        events_counted: view.events_counted,
        last_event_at: view.last_event_at.map(edge::timestamp),
    })
}

/// Tables that are read once for the whole report.
struct Draft<'a> {
    tables: Tables<'a>,
    view: &'a View,
    read: BTreeMap<(&'static str, Vec<Dimension>), Table>,
}

impl Draft<'_> {
    async fn table(&mut self, code: &'static str, by: &[Dimension]) -> Result<&Table, Refusal> {
        let key = (code, by.to_vec());
        if !self.read.contains_key(&key) {
            let indicator = indicator::get(code).ok_or_else(|| Refusal::internal(code))?;
            let question = Question { indicator, group_by: by.to_vec(), from_month: None, to_month: None, district: None };
            let cells = self.tables.answer(&question).await?.cells;
            self.read.insert(key.clone(), cells);
        }
        self.read.get(&key).ok_or_else(|| Refusal::internal(code))
    }

    /// The currency in which a sum of nothing is told: US dollars where there are some.
    async fn main_currency(&mut self) -> Result<String, Refusal> {
        let mut currencies = BTreeSet::new();
        for code in GRANT_MONEY.into_iter().chain(["money_needed"]) {
            currencies.extend(self.table(code, &[]).await?.keys().map(|(_, currency)| currency.clone()));
        }
        match currencies.first() {
            Some(first) if !currencies.contains(CURRENCY) => Ok(first.clone()),
            _ => Ok(CURRENCY.to_owned()),
        }
    }

    /// One figure; of money one for each currency, the main one first.
    async fn figures(
        &mut self,
        spec: &'static Spec,
        code: &'static str,
        at: Option<(Dimension, &str)>,
        currency: &str,
    ) -> Result<Vec<proto::Figure>, Refusal> {
        let (by, keys) = match at {
            Some((dimension, key)) => (vec![dimension], vec![key.to_owned()]),
            None => (Vec::new(), Vec::new()),
        };
        let table = self.table(code, &by).await?;
        if spec.unit != Unit::Money {
            let found = table.get(&(keys, String::new())).copied();
            // A share of nothing has no value.
            let nothing = (spec.unit == Unit::Percent && found.is_none()).then(|| proto::Figure { value: None, ..blank(spec) });
            return Ok(vec![nothing.unwrap_or_else(|| plain(spec, found.unwrap_or_default()))]);
        }
        let mut sums: Vec<_> = table.iter().filter(|((k, _), _)| *k == keys).map(|((_, c), f)| (c.clone(), f.value)).collect();
        if sums.is_empty() {
            sums.push((currency.to_owned(), 0));
        }
        sums.sort_by_key(|(c, _)| c != currency);
        Ok(sums.into_iter().map(|(currency, value)| money(spec, &currency, value)).collect())
    }

    async fn districts_reached(&mut self) -> Result<i64, Refusal> {
        let table = self.table("people_helped", &[Dimension::District]).await?;
        let reached = table.iter().filter(|((keys, _), figure)| !keys[0].is_empty() && figure.value > 0).count();
        i64::try_from(reached).map_err(Refusal::internal)
    }

    async fn districts(&mut self) -> Result<Vec<DistrictLine>, Refusal> {
        let mut lines: BTreeMap<String, BTreeMap<&'static str, Figure>> = BTreeMap::new();
        for (code, kind) in DISTRICT {
            let (indicator, by) = match kind {
                "" => (code, vec![Dimension::District]),
                _ => ("people_helped", vec![Dimension::District, Dimension::Kind]),
            };
            let table = self.table(indicator, &by).await?;
            for ((keys, _), figure) in table.iter().filter(|((keys, _), _)| keys.get(1).is_none_or(|k| k == kind)) {
                lines.entry(keys[0].clone()).or_default().insert(code, *figure);
            }
        }
        lines.remove("");
        let figure = |figures: &BTreeMap<_, Figure>, code: &'static str| {
            let figure = figures.get(code).copied().unwrap_or_default();
            DistrictFigure { code: code.to_owned(), value: figure.shown(), suppressed: figure.withheld }
        };
        let line = |(district, figures)| DistrictLine {
            district,
            figures: DISTRICT.iter().map(|(code, _)| figure(&figures, code)).collect(),
        };
        Ok(lines.into_iter().map(line).collect())
    }
}

/// Each grant that the caller sees the money of. What came in belongs to no district.
async fn grants(tx: &Tx, draft: &mut Draft<'_>) -> Result<Vec<GrantLine>, Refusal> {
    let view = draft.view;
    let seen = |id: &str| view.grants.as_ref().is_none_or(|own| own.contains(id));
    let mut lines = Vec::new();
    for row in grant::list(tx, view.programme).await? {
        let id = row.id.to_string();
        if !seen(&id) {
            continue;
        }
        let mut sums = Vec::new();
        for code in GRANT_MONEY {
            let key = (vec![id.clone()], row.currency.clone());
            let figure = draft.table(code, &[Dimension::Grant]).await?.get(&key).copied().unwrap_or_default();
            sums.push(edge::stored_money(figure.value, &row.currency));
        }
        let [granted, received, reserved, committed, spent, pledged] =
            <[_; 6]>::try_from(sums).map_err(|_| Refusal::internal("a grant has six sums"))?;
        lines.push(GrantLine {
            grant_id: id,
            title: row.title,
            donor_tenant_id: edge::shown_uuid(row.donor_tenant_id),
            granted: granted.filter(|_| view.whole),
            received: received.filter(|_| view.whole),
            reserved,
            committed,
            spent,
            pledged: pledged.filter(|_| view.whole),
        });
    }
    Ok(lines)
}

/// How many people of each kind, and of any (empty), had a delivery on or after the day.
async fn helped_since(tx: &Tx, view: &View, since: NaiveDate) -> Result<BTreeMap<String, Figure>, Refusal> {
    let mut days: BTreeMap<String, Vec<(NaiveDate, i64)>> = BTreeMap::new();
    for (kind, day, people) in helped::last_days(tx, view.programme).await? {
        days.entry(kind).or_default().push((day, people));
    }
    let since = |days: &Vec<(NaiveDate, i64)>| {
        let before = days.iter().filter(|(day, _)| *day < since).count();
        let counts: Vec<_> = days.iter().map(|(_, people)| *people).collect();
        let withheld = view.withholds() && steps(&counts, &turns(days)).get(before).copied().unwrap_or_default();
        Figure { value: counts[before..].iter().sum(), withheld }
    };
    let mut figures: BTreeMap<_, _> = days.iter().map(|(kind, days)| (kind.clone(), since(days))).collect();
    if view.withholds() {
        let of = |kind: &str| figures.get(kind).copied().unwrap_or_default();
        let values = KINDS.map(|kind| of(kind).value);
        let must = KINDS.map(|kind| of(kind).withheld || is_small(of(kind).value));
        let marks = line(&values, &must, of("").withheld);
        for ((kind, value), withheld) in KINDS.into_iter().zip(values).zip(marks) {
            figures.insert(kind.to_owned(), Figure { value, withheld });
        }
    }
    Ok(figures)
}

/// Which steps begin a month: those are what is asked for, so they are shown rather than the days within.
fn turns(days: &[(NaiveDate, i64)]) -> Vec<bool> {
    let month = |n: usize| days.get(n).map(|(day, _)| (day.year(), day.month()));
    (0..=days.len()).map(|n| n == 0 || month(n) != month(n - 1)).collect()
}

fn blank(spec: &Spec) -> proto::Figure {
    proto::Figure {
        code: spec.code.to_owned(),
        label: spec.label.to_owned(),
        definition: spec.definition.to_owned(),
        unit: spec.unit.number(),
        ..Default::default()
    }
}

fn plain(spec: &Spec, figure: Figure) -> proto::Figure {
    proto::Figure { value: figure.shown(), suppressed: figure.withheld, ..blank(spec) }
}

fn money(spec: &Spec, currency: &str, minor: i64) -> proto::Figure {
    let amount = edge::stored_money(minor, currency);
    proto::Figure { value: Some(minor), currency: currency.to_owned(), amount, ..blank(spec) }
}
