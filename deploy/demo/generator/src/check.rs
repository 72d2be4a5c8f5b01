//! That the files hold together: with each other, with programme.toml, and with what was published.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

use chrono::{Datelike, NaiveDate};

use crate::demand::{Kind, QUOTAS};
use crate::places::Places;
use crate::programme::Programme;
use crate::registrations::{Fate, Registration};
use crate::{Fault, Story, money};

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(what().into()) }
}

pub fn all(programme: &Programme, places: &Places, story: &Story) -> Result<(), Fault> {
    grants(programme)?;
    registrations(programme, places, story)?;
    training(story)?;
    deliveries(programme, places, story)?;
    each_need_is_met_once(story)?;
    projects(programme, places, story)?;
    visits(programme, story)?;
    published(programme, story)?;
    money::check(programme, story)
}

fn grants(programme: &Programme) -> Result<(), Fault> {
    for grant in &programme.grants {
        let code = &grant.code;
        let lines: i64 = grant.budget_lines.iter().map(|l| l.amount.minor).sum();
        ensure(lines == grant.amount.minor, || format!("{code}: the lines come to {lines}"))?;
        let mut credited = 0;
        for instalment in &grant.instalments {
            credited += programme.dollars(&instalment.amount, instalment.received_on)?;
        }
        ensure(credited == grant.amount.minor, || format!("{code}: the instalments come to {credited}"))?;
        let phase = programme.phase(&grant.phase)?;
        let paid = grant.last_instalment().unwrap_or(grant.ends_on);
        let holds = |day: NaiveDate| (grant.starts_on..=grant.ends_on).contains(&day);
        ensure([phase.registered_from, phase.registered_to, paid].into_iter().all(holds), || format!("{code}: period"))?;
        ensure(grant.ends_on <= programme.programme.ends_on, || format!("{code} outlasts the programme"))?;
        for cost in &grant.expenditures {
            let line = grant.budget_lines.iter().find(|l| l.code == cost.line);
            ensure(line.is_some_and(|l| l.kind == "administration"), || format!("{code}: {} is no line for costs", cost.line))?;
            ensure(cost.spent_on > paid, || format!("{code}: a cost of {} comes before all the money", cost.spent_on))?;
        }
        for quota in QUOTAS.iter().filter(|q| q.phase == grant.phase) {
            let inside = |d: &&str| grant.earmarks.districts.is_empty() || grant.earmarks.districts.iter().any(|e| e == *d);
            ensure(quota.districts.iter().all(inside), || format!("{code} is not for all of its phase's districts"))?;
        }
    }
    Ok(())
}

fn registrations(programme: &Programme, places: &Places, story: &Story) -> Result<(), Fault> {
    let (mut ids, mut heads) = (HashSet::new(), HashSet::new());
    let mut before = None;
    for row in &story.registrations {
        let form = &row.form;
        ensure(before <= Some(row.on), || format!("{} is out of order", form.submission_id))?;
        before = Some(row.on);
        let phase = programme.phase(QUOTAS[row.phase].phase)?;
        let inside = (phase.registered_from..=phase.registered_to).contains(&row.on);
        ensure(inside, || format!("{} is registered outside its phase", form.submission_id))?;
        if row.fate == Fate::Repeats {
            ensure(ids.contains(form.submission_id.as_str()), || format!("{} repeats nothing", form.submission_id))?;
            continue;
        }
        ensure(ids.insert(form.submission_id.as_str()), || format!("{} is used twice", form.submission_id))?;
        if row.fate == Fate::Refused {
            continue;
        }
        ensure(programme.districts.iter().any(|d| d.pcode == row.district), || format!("{} is no district here", row.district))?;
        let cell = &form.cell_pcode;
        let cell_fits = cell.is_empty() || (places.knows(cell) && cell.starts_with(row.district));
        ensure(cell_fits, || format!("{cell} is not in {}", row.district))?;
        if form.relation_to_head == "head" {
            ensure(heads.insert(form.household_number.as_str()), || format!("{} has two heads", form.household_number))?;
        }
        if form.document_kind == "national_id" {
            let synthetic = form.document_number.starts_with('9');
            ensure(synthetic, || format!("{}: the national ID could be somebody's", form.submission_id))?;
        }
        eligible(programme, row)?;
    }
    for district in &programme.districts {
        let name = places.name(&district.pcode);
        ensure(name == district.name, || format!("{} is {name}, not {}", district.pcode, district.name))?;
    }
    Ok(())
}

/// The package's conditions hold on the day of the request.
fn eligible(programme: &Programme, row: &Registration) -> Result<(), Fault> {
    let Some(need) = row.need else { return Ok(()) };
    let conditions = &programme.package(need.kind.code(), need.item)?.conditions;
    let id = &row.form.submission_id;
    ensure(row.band >= conditions.least_priority_band, || format!("{id} is in band {}", row.band))?;
    if conditions.age_bands.is_empty() {
        return Ok(());
    }
    let written: Vec<u32> = row.form.birth_date.split('-').filter_map(|part| part.parse().ok()).collect();
    let birth = match written.as_slice() {
        [year] => NaiveDate::from_ymd_opt(year.cast_signed(), 7, 1),
        [year, month] => NaiveDate::from_ymd_opt(year.cast_signed(), *month, 15),
        [year, month, day] => NaiveDate::from_ymd_opt(year.cast_signed(), *month, *day),
        _ => None,
    };
    let band = match birth.and_then(|birth| row.on.years_since(birth)) {
        Some(18..=24) => "18-24",
        Some(25..=59) => "25-59",
        _ => "another",
    };
    ensure(conditions.age_bands.iter().any(|b| b == band), || format!("{id} is not of the age for {}", need.item))
}

fn training(story: &Story) -> Result<(), Fault> {
    let rows: HashMap<&str, &Registration> = landed(story).collect();
    let mut cohorts: BTreeMap<&str, usize> = BTreeMap::new();
    for trainee in &story.training {
        let (cohort, id) = (&trainee.cohort, &trainee.submission_id);
        *cohorts.entry(cohort).or_default() += 1;
        let row = rows.get(id.as_str()).ok_or_else(|| format!("{id} is in no registration"))?;
        let of = row.need.is_some_and(|n| n.kind == Kind::Training && n.item == trainee.trade);
        ensure(of && row.district == trainee.district_pcode, || format!("{id} did not ask for {cohort}"))?;
        ensure(row.on < trainee.starts_on && trainee.starts_on < trainee.ends_on, || format!("{cohort} begins too early"))?;
    }
    for trainee in &story.training {
        let size = cohorts[trainee.cohort.as_str()];
        ensure((15..=35).contains(&size) && size <= trainee.capacity, || format!("{} has {size} people", trainee.cohort))?;
    }
    Ok(())
}

fn deliveries(programme: &Programme, places: &Places, story: &Story) -> Result<(), Fault> {
    let rows: HashMap<&str, &Registration> = landed(story).collect();
    let mut lists: BTreeMap<&str, usize> = BTreeMap::new();
    for delivery in &story.deliveries {
        let (list, id) = (&delivery.list, &delivery.submission_id);
        *lists.entry(list).or_default() += 1;
        let row = rows.get(id.as_str()).ok_or_else(|| format!("{id} is in no registration"))?;
        let of = row.need.is_some_and(|n| n.kind.code() == delivery.kind && !n.late);
        ensure(of && row.district == delivery.district_pcode, || format!("{id} does not belong on {list}"))?;
        let paid = programme.grant(QUOTAS[row.phase].phase)?.last_instalment();
        ensure(Some(delivery.planned_on) > paid && delivery.planned_on > row.on, || format!("{list} is too early"))?;
        ensure(delivery.delivered_on.is_none_or(|on| on >= delivery.planned_on), || format!("{list}: delivered too early"))?;
        let place = &delivery.place_pcode;
        ensure(places.knows(place) && place.starts_with(row.district), || format!("{list} is in {place}"))?;
    }
    let small = lists.iter().find(|(_, people)| !(20..=200).contains(*people));
    ensure(small.is_none(), || format!("{small:?} is not a list of 20 to 200 people"))
}

fn each_need_is_met_once(story: &Story) -> Result<(), Fault> {
    let given = story.deliveries.iter().map(|d| d.submission_id.as_str());
    let all: Vec<&str> = story.training.iter().map(|t| t.submission_id.as_str()).chain(given).collect();
    let distinct: HashSet<&str> = all.iter().copied().collect();
    ensure(all.len() == distinct.len(), || "somebody is on two lists".into())?;
    let asking = landed(story).filter(|(_, row)| row.need.is_some_and(|n| !n.late)).count();
    ensure(asking == all.len(), || format!("{asking} people asked in time and {} are on lists", all.len()))
}

fn projects(programme: &Programme, places: &Places, story: &Story) -> Result<(), Fault> {
    for row in &story.projects {
        let code = &row.code;
        let days =
            [row.submitted_on, row.approved_on, row.starts_on, row.facility_completed_on, row.completed_on, row.counted_on];
        ensure(days.is_sorted() && row.counted_on <= programme.programme.ends_on, || format!("{code}: {days:?}"))?;
        let grant = programme.grant(&row.phase)?;
        let paid = grant.last_instalment();
        ensure(Some(row.approved_on) > paid && row.submitted_on >= grant.starts_on, || format!("{code} has no money yet"))?;
        let fits = |place: &str| places.knows(place) && place.starts_with(&row.district_pcode);
        ensure(fits(&row.place_pcode) && fits(&row.facility_place_pcode), || format!("{code} is elsewhere"))?;
    }
    for row in &story.campaigns {
        let in_time = row.starts_on <= row.held_on && row.held_on <= programme.programme.ends_on;
        ensure(in_time, || format!("{} is held on {}", row.code, row.held_on))?;
    }
    Ok(())
}

fn visits(programme: &Programme, story: &Story) -> Result<(), Fault> {
    let helped: HashMap<&str, NaiveDate> = helped(story).map(|(id, _, on)| (id, on)).collect();
    for visit in &story.visits {
        let months = helped.get(visit.submission_id.as_str()).map(|on| (visit.visited_on - *on).num_days());
        let in_time = months.is_some_and(|days| (85..=370).contains(&days)) && visit.visited_on <= programme.programme.ends_on;
        ensure(in_time, || format!("{} is visited on {}", visit.submission_id, visit.visited_on))?;
    }
    Ok(())
}

/// What the records come to is what the programme said.
fn published(programme: &Programme, story: &Story) -> Result<(), Fault> {
    let people = helped(story).count();
    ensure((11_200..11_450).contains(&people), || format!("{people} people are helped"))?;
    let since = NaiveDate::from_ymd_opt(2013, 3, 1);
    let recent = helped(story).filter(|(_, _, on)| Some(*on) >= since).count();
    ensure((5_150..5_350).contains(&recent), || format!("{recent} people are helped since March 2013"))?;
    let districts: HashSet<&str> = helped(story).map(|(_, row, _)| row.district).collect();
    ensure(districts.len() == programme.districts.len(), || format!("{} districts are reached", districts.len()))?;
    let count = |kind: &str| story.projects.iter().filter(|row| row.facility_kind == kind).count();
    ensure([count("school"), count("health_post"), count("transit_centre")] == [4, 7, 1], || "facilities".into())?;
    let codes: HashSet<&str> = story.projects.iter().map(|row| row.code.as_str()).collect();
    ensure(codes.len() == 10, || format!("{} projects", codes.len()))?;
    let served: u32 = story.projects.iter().map(|row| row.people()).sum();
    ensure((10_000..10_500).contains(&served), || format!("{served} people are served"))
}

fn landed(story: &Story) -> impl Iterator<Item = (&str, &Registration)> {
    story.registrations.iter().filter(|row| row.fate == Fate::Lands).map(|row| (row.form.submission_id.as_str(), row))
}

/// Who was helped, and when.
fn helped(story: &Story) -> impl Iterator<Item = (&str, &Registration, NaiveDate)> {
    let rows: HashMap<&str, &Registration> = landed(story).collect();
    let trained = story.training.iter().filter(|t| t.completed()).map(|t| (t.submission_id.as_str(), t.ends_on));
    let given = story.deliveries.iter().filter_map(|d| Some((d.submission_id.as_str(), d.delivered_on?)));
    trained.chain(given).filter_map(move |(id, on)| Some((id, *rows.get(id)?, on)))
}

/// The totals, for whoever runs it.
pub fn summary(programme: &Programme, story: &Story) -> String {
    let mut text = String::new();
    let fates = |fate| story.registrations.iter().filter(|row| row.fate == fate).count();
    let households: HashSet<&str> = landed(story).map(|(_, row)| row.form.household_number.as_str()).collect();
    let _ = writeln!(
        text,
        "rows {}: {} people in {} households, {} refused, {} sent twice",
        story.registrations.len(),
        fates(Fate::Lands),
        households.len(),
        fates(Fate::Refused),
        fates(Fate::Repeats)
    );
    let _ = writeln!(
        text,
        "{:<6}{:<22}{:>8}{:>8}{:>8}{:>16}{:>14}",
        "phase", "kind", "asked", "waits", "helped", "asked USD", "line USD"
    );
    for (phase, quota) in QUOTAS.iter().enumerate() {
        for kind in Kind::ALL {
            let of = |row: &&Registration| row.phase == phase && row.need.is_some_and(|n| n.kind == kind);
            let asked: Vec<_> = landed(story).map(|(_, row)| row).filter(of).collect();
            let late = asked.iter().filter(|row| row.need.is_some_and(|n| n.late)).count();
            let cost = |row: &&&Registration| {
                let need = row.need.filter(|n| !n.late)?;
                programme.package(kind.code(), need.item).ok().map(|p| p.unit_cost.minor)
            };
            let cents: i64 = asked.iter().filter_map(|row| cost(&row)).sum();
            let line = programme.grant(quota.phase).ok().and_then(|g| g.line(kind.code())).map_or(0, |l| l.amount.minor);
            let helped = helped(story).filter(|(_, row, _)| of(row)).count();
            let (code, asked) = (kind.code(), asked.len() - late);
            let _ =
                writeln!(text, "{:<6}{code:<22}{asked:>8}{late:>8}{helped:>8}{:>16}{:>14}", quota.phase, cents / 100, line / 100);
        }
    }
    let served: u32 = story.projects.iter().map(|row| row.people()).sum();
    let recent = helped(story).filter(|(_, _, on)| (on.year(), on.month()) >= (2013, 3)).count();
    let _ = writeln!(
        text,
        "helped {}, since March 2013 {recent}; visits {}; people served {served}; campaigns {}",
        helped(story).count(),
        story.visits.len(),
        story.campaigns.len()
    );
    text
}
