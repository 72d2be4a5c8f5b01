//! Waiting for what the services tell each other: until funding has answered everything that was asked, and until the
//! read model has counted everything that was played. Both ask for a state that is known to come, and give up only when
//! nothing has moved for a minute.

use std::time::{Duration, Instant};

use tahuka_chassis::{Refusal, edge};
use tahuka_proto::assistance::v1 as assistance;
use tahuka_proto::assistance::v1::plan_service_client::PlanServiceClient;
use tahuka_proto::funding::v1 as funding;
use tahuka_proto::funding::v1::appeal_service_client::AppealServiceClient;
use tahuka_proto::funding::v1::grant_service_client::GrantServiceClient;
use tahuka_proto::funding::v1::reservation_service_client::ReservationServiceClient;
use tahuka_proto::google::r#type::Money;
use tahuka_proto::insight::v1 as insight;
use tahuka_proto::insight::v1::report_service_client::ReportServiceClient;
use tahuka_proto::projects::v1 as projects;
use tahuka_proto::projects::v1::project_service_client::ProjectServiceClient;

use super::people::Standing;
use super::voice::{ask, told};
use super::{PAGE, Stage};

const STANDSTILL: Duration = Duration::from_secs(60);
/// How long a right report must stand still.
const QUIET: Duration = Duration::from_secs(1);

/// Polls with growing pauses; gives up when the state has not changed for a minute.
struct Patience<S> {
    last: Option<S>,
    since: Instant,
    pause: Duration,
}

impl<S: PartialEq> Patience<S> {
    fn new() -> Self {
        Patience { last: None, since: Instant::now(), pause: Duration::from_millis(20) }
    }

    async fn wait(&mut self, state: S, why: impl FnOnce() -> String) -> Result<(), Refusal> {
        if self.last.as_ref() != Some(&state) {
            self.last = Some(state);
            self.since = Instant::now();
        }
        if self.since.elapsed() > STANDSTILL {
            return Err(Refusal::precondition("STANDSTILL", why()));
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(Duration::from_millis(500));
        Ok(())
    }
}

/// Until funding's books hold what was done.
pub async fn booked(stage: &Stage<'_>) -> Result<(), Refusal> {
    let mut patience = Patience::new();
    let bar = stage.progress.wait("funding's books");
    while let Some(why) = unsettled(stage).await? {
        let told = why.clone();
        patience.wait(why, || told).await?;
    }
    bar.end();
    Ok(())
}

/// Until no plan or project waits for funding's answer, and those that wait for money are the ones that funding has
/// open.
pub async fn answered(stage: &Stage<'_>) -> Result<(), Refusal> {
    let mut patience = Patience::new();
    let bar = stage.progress.wait("funding's answers");
    loop {
        let next = first_submitted(stage).await?;
        let mut waiting = (0, 0);
        if next.is_none() {
            let open = open_needs(stage).await?;
            waiting = (plans(stage, assistance::PlanState::Waiting).await?, waiting_projects(stage).await?);
            if waiting == open {
                bar.end();
                return Ok(());
            }
        }
        let still = format!("funding's answers do not come: {} plans and {} projects wait", waiting.0, waiting.1);
        patience.wait((next, waiting), || still).await?;
    }
}

/// The first plan or project that has no answer yet.
async fn first_submitted(stage: &Stage<'_>) -> Result<Option<String>, Refusal> {
    let request = assistance::ListPlansRequest {
        programme_id: stage.cast.programme_id.clone(),
        page_size: 1,
        state: assistance::PlanState::Submitted.into(),
        ..Default::default()
    };
    if let Some(plan) = ask!(stage.cast.manager, PlanServiceClient.list_plans(request))?.plans.pop() {
        return Ok(Some(plan.id));
    }
    let request = projects::ListProjectsRequest {
        programme_id: stage.cast.programme_id.clone(),
        page_size: 1,
        state: projects::ProjectState::Submitted.into(),
        ..Default::default()
    };
    Ok(ask!(stage.cast.manager, ProjectServiceClient.list_projects(request))?.projects.pop().map(|project| project.id))
}

/// Open needs of plans and of projects, as funding has them.
async fn open_needs(stage: &Stage<'_>) -> Result<(usize, usize), Refusal> {
    let request = funding::GetAppealRequest { programme_id: stage.cast.programme_id.clone() };
    let appeal = told(ask!(stage.cast.finance, AppealServiceClient.get_appeal(request))?.appeal, "appeal")?;
    let mut open = (0, 0);
    for line in &appeal.lines {
        let count = usize::try_from(line.open_needs).unwrap_or_default();
        match line.kind() {
            funding::BudgetKind::Project => open.1 += count,
            funding::BudgetKind::Campaign | funding::BudgetKind::Administration | funding::BudgetKind::Unspecified => {}
            _ => open.0 += count,
        }
    }
    Ok(open)
}

async fn plans(stage: &Stage<'_>, state: assistance::PlanState) -> Result<usize, Refusal> {
    let mut request = assistance::ListPlansRequest {
        programme_id: stage.cast.programme_id.clone(),
        page_size: PAGE,
        state: state.into(),
        ..Default::default()
    };
    let mut count = 0;
    loop {
        let page = ask!(stage.cast.manager, PlanServiceClient.list_plans(request.clone()))?;
        count += page.plans.len();
        if page.next_page_token.is_empty() {
            return Ok(count);
        }
        request.page_token = page.next_page_token;
    }
}

async fn waiting_projects(stage: &Stage<'_>) -> Result<usize, Refusal> {
    let request = projects::ListProjectsRequest {
        programme_id: stage.cast.programme_id.clone(),
        page_size: PAGE,
        state: projects::ProjectState::Waiting.into(),
        ..Default::default()
    };
    Ok(ask!(stage.cast.manager, ProjectServiceClient.list_projects(request))?.projects.len())
}

/// Until the report holds what was played, funding's books say the same of each grant, and nothing more comes in.
pub async fn counted(stage: &Stage<'_>) -> Result<(), Refusal> {
    let mut patience = Patience::new();
    let bar = stage.progress.wait("the last events");
    let mut quiet: Option<(i64, Instant)> = None;
    loop {
        let report = report(stage).await?;
        let events = report.events_counted;
        let why = match unsettled(stage).await? {
            None => difference(stage, &report).await?,
            open => open,
        };
        // How long the report has been right, and at this number of events.
        quiet = quiet.filter(|(counted, _)| *counted == events && why.is_none());
        let (_, since) = *quiet.get_or_insert((events, Instant::now()));
        if why.is_none() && since.elapsed() > QUIET {
            bar.end();
            return Ok(());
        }
        let why = why.unwrap_or_else(|| "more events come in".into());
        let told = format!("nothing has moved for {} s, and {why}", STANDSTILL.as_secs());
        patience.wait((events, why), || told).await?;
    }
}

/// What funding still has to settle: of every delivered plan, built project and held campaign the money is spent, and of
/// every approved plan it is committed; what is reserved is for plans that know it. A campaign that no line pays stays open.
async fn unsettled(stage: &Stage<'_>) -> Result<Option<String>, Refusal> {
    use funding::{NeedKind, ReservationState};
    // Of what has not gone over to anybody else.
    let approved = plans(stage, assistance::PlanState::Approved).await?;
    let funded = plans(stage, assistance::PlanState::Funded).await?;
    let reserved = holding(stage, ReservationState::Reserved).await?;
    let committed = holding(stage, ReservationState::Committed).await?;
    for (state, held, what, expected) in [
        ("reserved", &reserved, NeedKind::Plan, funded),
        ("committed", &committed, NeedKind::Plan, approved),
        ("reserved", &reserved, NeedKind::Project, 0),
        ("committed", &committed, NeedKind::Project, 0),
    ] {
        let count = held.iter().filter(|kind| **kind == what).count();
        if count != expected {
            let what = what.as_str_name().trim_start_matches("NEED_KIND_").to_lowercase();
            return Ok(Some(format!("funding has the money of {count} {what}s {state} where {expected} are")));
        }
    }
    let spent = holding(stage, ReservationState::Spent).await?.iter().filter(|kind| **kind == NeedKind::Campaign).count();
    let request = funding::ListNeedsRequest {
        programme_id: stage.cast.programme_id.clone(),
        kind: funding::BudgetKind::Campaign.into(),
        page_size: PAGE,
        page_token: String::new(),
    };
    let open = ask!(stage.cast.finance, ReservationServiceClient.list_needs(request))?.needs.len();
    let held = stage.played.campaigns;
    let all = spent + open == held;
    Ok((!all).then(|| format!("funding knows {} campaigns of {held}", spent + open)))
}

/// What the reservations in this state are for.
async fn holding(stage: &Stage<'_>, state: funding::ReservationState) -> Result<Vec<funding::NeedKind>, Refusal> {
    let mut request = funding::ListReservationsRequest { state: state.into(), page_size: PAGE, ..Default::default() };
    let mut kinds = Vec::new();
    loop {
        let page = ask!(stage.cast.finance, ReservationServiceClient.list_reservations(request.clone()))?;
        kinds.extend(page.reservations.iter().map(funding::Reservation::need_kind));
        if page.next_page_token.is_empty() {
            return Ok(kinds);
        }
        request.page_token = page.next_page_token;
    }
}

async fn report(stage: &Stage<'_>) -> Result<insight::ProgrammeReport, Refusal> {
    let request = insight::GetProgrammeReportRequest {
        programme_id: stage.cast.programme_id.clone(),
        since: stage.programme.setting.report_since.proto(),
    };
    told(ask!(stage.cast.manager, ReportServiceClient.get_programme_report(request))?.report, "report")
}

/// Where the report is not what was played.
async fn difference(stage: &Stage<'_>, report: &insight::ProgrammeReport) -> Result<Option<String>, Refusal> {
    let played = &stage.played;
    let count = |n: usize| i64::try_from(n).unwrap_or_default();
    let truths = [
        ("people_registered", stage.tally.accepted),
        ("people_helped", count(stage.plans.count(Standing::Completed))),
        ("visits_recorded", count(played.visits)),
        ("projects_completed", count(played.projects)),
        ("facilities_completed", count(played.facilities)),
        ("campaigns_held", count(played.campaigns)),
        ("people_served", played.people_served),
    ];
    for (code, truth) in truths {
        let figure = report.sections.iter().flat_map(|s| &s.figures).find(|f| f.code == code);
        let told = figure.and_then(|f| f.value);
        if told != Some(truth) {
            let told = told.map_or("nothing".to_owned(), |v| v.to_string());
            return Ok(Some(format!("the report says {told} for {code}, and {truth} were played")));
        }
    }
    for pledge in &stage.programme.setting.pledges {
        let currency = pledge.amount.currency();
        let pledges = stage.programme.setting.pledges.iter().filter(|p| p.amount.currency() == currency);
        let pledged: i64 = pledges.map(|p| p.amount.minor()).sum();
        let figure =
            report.sections.iter().flat_map(|s| &s.figures).find(|f| f.code == "money_pledged" && f.currency == currency);
        if figure.and_then(|f| f.value) != Some(pledged) {
            return Ok(Some(format!("the report has not all that was pledged in {currency}")));
        }
    }
    let request =
        funding::ListGrantsRequest { programme_id: stage.cast.programme_id.clone(), page_size: PAGE, ..Default::default() };
    let minor = |money: Option<&Money>| edge::money("amount", money).map(|a| a.minor).unwrap_or_default();
    for grant in ask!(stage.cast.finance, GrantServiceClient.list_grants(request))?.grants {
        let books = grant.balances.unwrap_or_default();
        let line = report.grants.iter().find(|line| line.grant_id == grant.id).cloned().unwrap_or_default();
        for (what, book, shown) in [
            ("received", books.received, line.received),
            ("reserved", books.reserved, line.reserved),
            ("committed", books.committed, line.committed),
            ("spent", books.spent, line.spent),
        ] {
            let (book, shown) = (minor(book.as_ref()), minor(shown.as_ref()));
            if book != shown {
                return Ok(Some(format!("of grant {} the books have {book} {what} and the report {shown}", grant.code)));
            }
        }
    }
    Ok(None)
}
