//! The demonstration's programme, a part of it, played by the binary itself: the figures are those of the files, on
//! every form of the platform, and whatever is killed on the way.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::Value;
use tahuka_tests::{Form, Platform, binary};
use tempfile::TempDir;

use crate::story::eventually;

/// One in so many submissions.
const PART: u64 = 24;

fn demo_files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/demo")
}

type Row = BTreeMap<String, String>;

fn rows(file: &Path) -> Vec<Row> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(file).expect("a file of the demonstration");
    let header: Vec<String> = reader.headers().expect("a header").iter().map(str::to_owned).collect();
    (reader.records())
        .map(|record| header.iter().cloned().zip(record.expect("a row").iter().map(str::to_owned)).collect())
        .collect()
}

fn whole(row: &Row, column: &str) -> i64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} is a number"))
}

/// A copy of the programme with a part of its registrations, repeated submissions kept together.
pub struct Part {
    dir: TempDir,
}

impl Part {
    pub fn of_the_programme() -> Part {
        let dir = TempDir::new().expect("a directory");
        for entry in fs::read_dir(demo_files()).expect("the demonstration's files").flatten() {
            if entry.path().is_file() {
                fs::copy(entry.path(), dir.path().join(entry.file_name())).expect("a copy");
            }
        }
        let file = dir.path().join("registrations.csv");
        let text = fs::read_to_string(&file).expect("the registrations");
        let mut lines = text.lines();
        let mut kept = vec![lines.next().expect("a header")];
        kept.extend(lines.filter(|line| {
            let id = line.split(',').next().unwrap_or_default();
            // FNV-1a: the same part on every machine.
            let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
            hash % PART == 0
        }));
        fs::write(&file, kept.join("\n") + "\n").expect("a smaller file");
        Part { dir }
    }

    /// The figures that the files themselves give.
    fn expected(&self) -> BTreeMap<&'static str, i64> {
        let file = |name: &str| rows(&self.dir.path().join(name));
        let mut expected = BTreeMap::new();
        let facilities = file("projects.csv");
        let kinds = [
            ("facilities_completed.school", "school"),
            ("facilities_completed.health_post", "health_post"),
            ("facilities_completed.transit_centre", "transit_centre"),
        ];
        for (code, kind) in kinds {
            expected.insert(code, facilities.iter().filter(|r| r["facility_kind"] == kind).count() as i64);
        }
        let projects: HashSet<&str> = facilities.iter().map(|r| r["code"].as_str()).collect();
        expected.insert("projects_completed", projects.len() as i64);
        let served = facilities.iter().flat_map(|r| {
            let columns = r.keys().filter(|c| c.starts_with("f_") || c.starts_with("m_")).collect::<Vec<_>>();
            columns.into_iter().map(|c| whole(r, c)).collect::<Vec<_>>()
        });
        expected.insert("people_served", served.sum());
        let campaigns = file("campaigns.csv");
        for (code, level) in [("campaigns_held.national", "national"), ("campaigns_held.local", "local")] {
            expected.insert(code, campaigns.iter().filter(|r| r["level"] == level).count() as i64);
        }
        expected.insert("campaign_reach", campaigns.iter().map(|r| whole(r, "reach")).sum());

        let registered: HashSet<String> = file("registrations.csv").iter().map(|r| r["submission_id"].clone()).collect();
        let here = |r: &&Row| registered.contains(&r["submission_id"]);
        let (training, deliveries, visits) = (file("training.csv"), file("deliveries.csv"), file("visits.csv"));
        let trained: HashSet<&str> =
            training.iter().filter(here).filter(|r| r["result"] == "completed").map(|r| r["submission_id"].as_str()).collect();
        let given: Vec<&Row> = deliveries.iter().filter(here).filter(|r| !r["delivered_on"].is_empty()).collect();
        expected.insert("trainings_completed", trained.len() as i64);
        expected.insert("people_helped.vocational_training", trained.len() as i64);
        for (code, kind) in [
            ("people_helped.startup_capital", "startup_capital"),
            ("people_helped.livestock", "livestock"),
            ("people_helped.shelter", "shelter"),
        ] {
            expected.insert(code, given.iter().filter(|r| r["kind"] == kind).count() as i64);
        }
        let helped: HashSet<&str> = trained.into_iter().chain(given.iter().map(|r| r["submission_id"].as_str())).collect();
        expected.insert("people_helped", helped.len() as i64);
        expected.insert("visits_recorded", visits.iter().filter(here).count() as i64);
        expected
    }

    pub fn play(&self, platform: &Platform) -> Playing {
        let out = self.dir.path().join("out.json");
        let child = Command::new(binary())
            .args(["demo", "--exit", "--gateway", &platform.gateway, "--programme"])
            .arg(self.dir.path())
            .arg("--data-dir")
            .arg(platform.data_dir())
            .arg("--json")
            .arg(&out)
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.dir.path().join("demo.log")).expect("a log"))
            .spawn()
            .expect("the binary starts");
        Playing { child, out, log: self.dir.path().join("demo.log") }
    }
}

pub struct Playing {
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl Playing {
    pub async fn ended(mut self) -> Value {
        let child = tokio::task::spawn_blocking(move || self.child.wait());
        let status = child.await.expect("it is waited for").expect("it ends");
        assert!(status.success(), "{}", fs::read_to_string(&self.log).unwrap_or_default());
        serde_json::from_slice(&fs::read(&self.out).expect("the report's file")).expect("JSON")
    }
}

/// Code and value of each figure.
fn figures(report: &Value) -> BTreeMap<String, Option<i64>> {
    let list = report["figures"].as_array().expect("figures");
    list.iter().map(|f| (f["code"].as_str().expect("a code").to_owned(), f["value"].as_i64())).collect()
}

pub fn as_the_files_say(part: &Part, report: &Value) {
    let figures = figures(report);
    for (code, value) in part.expected() {
        let told = figures.get(code).unwrap_or_else(|| panic!("no figure {code}"));
        // A donor's report withholds fewer than five.
        let shown = told.is_none() && value < 5 || *told == Some(value);
        assert!(shown, "{code}: the files say {value}, the report {told:?}");
    }
    let run = &report["run"];
    let count = |key: &str| run[key].as_i64().unwrap_or_else(|| panic!("run.{key}"));
    let sent = rows(&part.dir.path().join("registrations.csv")).len() as i64;
    assert_eq!(count("rows"), sent);
    assert_eq!(count("accepted") + count("repeated") + count("rejected"), sent);
    assert_eq!(figures["people_registered"], Some(count("accepted")));
    assert_eq!(figures["money_received"], Some(750_000_000));
    assert_eq!(figures["districts_reached"], Some(20));
}

pub async fn the_report_is_what_the_files_say(platform: Platform) {
    let part = Part::of_the_programme();
    let report = part.play(&platform).ended().await;
    as_the_files_say(&part, &report);
}

/// How many events the services have journalled so far.
async fn journalled(database: &str) -> i64 {
    let db = Database::connect(database).await.expect("the database answers");
    let mut all = 0;
    for service in ["tenancy", "registry", "assistance", "projects", "funding"] {
        let sql = format!("SELECT count(*) AS events FROM {service}.journal");
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await;
        all += row.ok().flatten().map_or(0, |r| r.try_get::<i64>("", "events").unwrap_or(0));
    }
    db.close().await.expect("it closes");
    all
}

/// Each process in turn, killed with -9 in the midst of the programme and started again.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_nothing_is_lost_or_doubled() {
    let part = Part::of_the_programme();
    let Some(quiet) = Platform::start(Form::Separate).await else { return };
    let undisturbed = part.play(&quiet).ended().await;
    as_the_files_say(&part, &undisturbed);
    let events = journalled(quiet.database().expect("a database")).await;
    drop(quiet);

    let Some(mut platform) = Platform::start(Form::Separate).await else { return };
    let database = platform.database().expect("a database").to_owned();
    let playing = part.play(&platform);
    let victims = ["registry", "assistance", "funding", "gateway", "insight", "projects", "tenancy", "funding", "assistance"];
    for (n, victim) in victims.iter().enumerate() {
        let mark = events * (n as i64 + 1) / (victims.len() as i64 + 1);
        eventually(&format!("{mark} events"), || async { journalled(&database).await >= mark }).await;
        platform.kill_and_restart(victim).await;
    }
    let disturbed = playing.ended().await;
    as_the_files_say(&part, &disturbed);
    assert_eq!(figures(&disturbed), figures(&undisturbed));
    let districts = |report: &Value| report["districts"].clone();
    assert_eq!(districts(&disturbed), districts(&undisturbed));
    let grants = |report: &Value| -> Vec<Value> {
        let mut grants = report["grants"].as_array().expect("grants").clone();
        grants.iter_mut().filter_map(Value::as_object_mut).for_each(|g| g.retain(|key, _| !key.ends_with("_id")));
        grants
    };
    assert_eq!(grants(&disturbed), grants(&undisturbed));
    assert_eq!(journalled(&database).await, events);
}
