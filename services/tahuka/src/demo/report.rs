//! The programme's report as its donor gets it: for a reader, each figure beside the published one, and as JSON.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tahuka_chassis::Refusal;
use tahuka_proto::google::r#type::Money;
use tahuka_proto::insight::v1 as insight;
use tahuka_proto::insight::v1::report_service_client::ReportServiceClient;

use super::Stage;
use super::files::values::{decimal, grouped, minor};
use super::voice::{Voice, ask, told};

/// Resident memory of this process, in bytes, where it is the platform too.
pub struct Memory {
    pub idle: Option<u64>,
    pub peak: Option<u64>,
}

/// What the kernel says of this process's memory: `VmRSS` or `VmHWM`, in bytes.
pub fn resident(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

pub async fn tell(stage: &Stage<'_>, file: Option<&Path>, memory: Memory) -> Result<(), Refusal> {
    let setting = &stage.programme.setting;
    let request =
        insight::GetProgrammeReportRequest { programme_id: stage.cast.programme_id.clone(), since: setting.report_since.proto() };
    let report = told(ask!(stage.cast.donor_officer, ReportServiceClient.get_programme_report(request))?.report, "report")?;
    print(stage, &report);
    let run = run(stage, &memory);
    summary(&run);
    if let Some(file) = file {
        let written = serde_json::to_string_pretty(&as_json(stage, &report, run)).map_err(Refusal::internal)?;
        std::fs::write(file, written + "\n").map_err(|e| Refusal::invalid("--json", format!("{}: {e}", file.display())))?;
    }
    Ok(())
}

/// How long the figures may take to come to rest.
const REST: Duration = Duration::from_secs(30);

/// The report as this voice reads it.
pub async fn of(stage: &Stage<'_>, voice: &Voice) -> Result<insight::ProgrammeReport, Refusal> {
    let since = stage.programme.setting.report_since.proto();
    let request = insight::GetProgrammeReportRequest { programme_id: stage.cast.programme_id.clone(), since };
    told(ask!(voice, ReportServiceClient.get_programme_report(request))?.report, "report")
}

/// As `of`, once its figures are those of `expected`, or do not become so.
pub async fn settled(
    stage: &Stage<'_>,
    voice: &Voice,
    expected: &insight::ProgrammeReport,
) -> Result<insight::ProgrammeReport, Refusal> {
    let until = Instant::now() + REST;
    loop {
        let report = of(stage, voice).await?;
        if figures(&report) == figures(expected) || Instant::now() > until {
            return Ok(report);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Code, currency and value of each figure.
pub fn figures(report: &insight::ProgrammeReport) -> Vec<(String, String, Option<i64>)> {
    let all = report.sections.iter().flat_map(|section| &section.figures);
    all.map(|figure| (figure.code.clone(), figure.currency.clone(), figure.value)).collect()
}

/// A figure's value for a reader.
pub fn figure_text(figure: &insight::Figure) -> String {
    let Some(value) = figure.value else {
        return if figure.suppressed { "withheld".into() } else { "-".into() };
    };
    match figure.unit() {
        insight::Unit::Money => minor(value, &figure.currency),
        insight::Unit::Percent => format!("{value}%"),
        _ if value < 0 => value.to_string(),
        _ => grouped(value.unsigned_abs()),
    }
}

fn print(stage: &Stage<'_>, report: &insight::ProgrammeReport) {
    let setting = &stage.programme.setting;
    println!("\nThe programme's report, as {} gets it", stage.cast.donor_officer.who);
    println!(
        "  {}, {} to {}; 'since' is since {}",
        setting.programme.name, setting.programme.starts_on, setting.programme.ends_on, setting.report_since
    );
    for section in &report.sections {
        println!("\n  {:<46} {:>18}  published", section.title, "the records");
        for figure in &section.figures {
            let published = figure.published.as_ref().map(|p| p.text.as_str()).unwrap_or_default();
            println!("{}", format!("    {:<44} {:>18}  {published}", figure.label, figure_text(figure)).trim_end());
        }
    }
    println!("\n  {:<12} {:>18} {:>18}", "District", "people registered", "people helped");
    for line in &report.districts {
        let name =
            setting.districts.iter().find(|d| d.pcode == line.district).map_or(line.district.as_str(), |d| d.name.as_str());
        let cell = |code: &str| {
            let figure = line.figures.iter().find(|f| f.code == code);
            let value = figure.and_then(|f| f.value).map(|v| grouped(v.unsigned_abs()));
            value.unwrap_or_else(|| if figure.is_some_and(|f| f.suppressed) { "withheld".into() } else { "-".into() })
        };
        println!("    {name:<10} {:>18} {:>18}", cell("people_registered"), cell("people_helped"));
    }
    println!("\n  From {} events, without a look at a single person's record.", grouped(report.events_counted.unsigned_abs()));
}

fn run(stage: &Stage<'_>, memory: &Memory) -> Value {
    let tally = &stage.tally;
    let per_second = if tally.import_seconds > 0.0 { tally.accepted as f64 / tally.import_seconds } else { 0.0 };
    let rounded = |x: f64| (x * 10.0).round() / 10.0;
    json!({
        "rows": tally.rows,
        "accepted": tally.accepted,
        "repeated": tally.repeated,
        "rejected": tally.rejected,
        "registrations_per_second": rounded(per_second),
        "elapsed_seconds": rounded(stage.progress.seconds()),
        "resident_idle_bytes": memory.idle,
        "resident_peak_bytes": memory.peak,
        "left_out": tally.left_out,
    })
}

fn summary(run: &Value) {
    let whole = |key: &str| grouped(run[key].as_u64().unwrap_or_default());
    println!(
        "\n  {} rows of registration read: {} accepted, {} repeated, {} rejected; {} a second",
        whole("rows"),
        whole("accepted"),
        whole("repeated"),
        whole("rejected"),
        run["registrations_per_second"],
    );
    let memory = match (run["resident_idle_bytes"].as_u64(), run["resident_peak_bytes"].as_u64()) {
        (Some(idle), Some(peak)) => format!("; memory {} MiB idle, {} MiB at most", idle >> 20, peak >> 20),
        _ => String::new(),
    };
    println!("  four years in {} s{memory}", run["elapsed_seconds"]);
}

fn as_json(stage: &Stage<'_>, report: &insight::ProgrammeReport, run: Value) -> Value {
    let setting = &stage.programme.setting;
    let figures: Vec<Value> = report
        .sections
        .iter()
        .flat_map(|section| section.figures.iter().map(move |figure| (section, figure)))
        .map(|(section, figure)| {
            json!({
                "section": section.code,
                "code": figure.code,
                "label": figure.label,
                "value": figure.value,
                "unit": figure.unit().as_str_name().trim_start_matches("UNIT_").to_lowercase(),
                "currency": figure.currency,
                "suppressed": figure.suppressed,
                "published": figure.published.as_ref().map(|p| json!({ "value": p.value, "text": p.text, "source": p.source })),
            })
        })
        .collect();
    let money = |money: &Option<Money>| money.as_ref().map(|m| json!({ "currency": m.currency_code, "amount": decimal(m) }));
    let grants: Vec<Value> = report
        .grants
        .iter()
        .map(|grant| {
            json!({
                "grant_id": grant.grant_id,
                "title": grant.title,
                "donor_tenant_id": grant.donor_tenant_id,
                "granted": money(&grant.granted),
                "received": money(&grant.received),
                "reserved": money(&grant.reserved),
                "committed": money(&grant.committed),
                "spent": money(&grant.spent),
                "pledged": money(&grant.pledged),
            })
        })
        .collect();
    let districts: Vec<Value> = report
        .districts
        .iter()
        .map(|line| {
            let figures: Vec<Value> =
                line.figures.iter().map(|f| json!({ "code": f.code, "value": f.value, "suppressed": f.suppressed })).collect();
            json!({ "district": line.district, "figures": figures })
        })
        .collect();
    json!({
        "programme": setting.programme.name,
        "programme_id": stage.cast.programme_id,
        "note": setting.note,
        "as": stage.cast.donor_officer.who,
        "since": setting.report_since.to_string(),
        "figures": figures,
        "grants": grants,
        "districts": districts,
        "events_counted": report.events_counted,
        "run": run,
    })
}
