//! As many households as the mission expects, in one tranche: how long each step takes, and how much memory. For a binary
//! that is optimised (`make bench`); nothing in it depends on the clock.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use tahuka_proto::handover::v1 as handover;
use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::import_households_request::Part;
use tahuka_proto::registry::v1::import_service_client::ImportServiceClient;
use tahuka_proto::registry::v1::individual_service_client::IndividualServiceClient;
use tahuka_tests::{Form, Platform, binary, new_request_id};
use tokio::io::AsyncWriteExt as _;

use super::steps::{Handover, State, tranches};
use crate::importing::HEADER;
use crate::programme::{Programme, RUBAVU, on};
use crate::story::{AssistanceKind, BudgetKind, Person, usd};

/// One household in so many has a plan, with money behind it.
const WITH_PLAN: usize = 10;

fn households() -> usize {
    std::env::var("TAHUKA_TEST_HOUSEHOLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(70_000)
}

/// Two people in each household.
fn rows(n: usize) -> String {
    let row = |person: usize, relation: &str, sex: &str| {
        format!(
            "s-{n}-{person},2011-01-10,RW33-{n},returnee,RW33,RW330101,2,{relation},HABIMANA,Jean,{sex},1979,,,,COD,1994,2010-12-20,Petite Barrière,,no_land,yes,,,E-01\n"
        )
    };
    row(1, "head", "male") + &row(2, "spouse", "female")
}

async fn import(programme: &Programme, most: usize) {
    let start =
        registry::ImportStart { request_id: new_request_id(), programme_id: programme.id.clone(), file_name: "all.csv".into() };
    let chunk = move |n: usize| {
        let rows: String = (n..(n + 500).min(most)).map(rows).collect();
        Part::Chunk(if n == 0 { format!("{HEADER}\n{rows}") } else { rows }.into_bytes())
    };
    let parts = std::iter::once(Part::Start(start)).chain((0..most).step_by(500).map(chunk));
    let stream = tokio_stream::iter(parts.map(|part| registry::ImportHouseholdsRequest { part: Some(part) }));
    let answer = ImportServiceClient::new(programme.iom.line()).import_households(stream).await.expect("the import ends");
    assert_eq!(answer.into_inner().import.expect("is told").accepted, 2 * most as i64);
}

/// The heads of one household in `WITH_PLAN`.
async fn heads(programme: &Programme, most: usize) -> Vec<Person> {
    let mut heads = Vec::new();
    let mut request =
        registry::ListIndividualsRequest { programme_id: programme.id.clone(), page_size: 500, ..Default::default() };
    loop {
        let mut client = IndividualServiceClient::new(programme.iom.line());
        let page = client.list_individuals(request.clone()).await.expect("people").into_inner();
        let men = page.individuals.into_iter().filter(|i| i.sex() == registry::Sex::Male);
        heads.extend(men.map(|i| Person { household: i.household_id, individual: i.id }));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() || heads.len() >= most {
            heads.truncate(most);
            return heads;
        }
    }
}

/// The most memory that the process has had, in MiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("its peak");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

/// Waits as long as it takes; a tranche that does not move at all is given up.
async fn until(h: &Handover<'_>, tranche: &str, state: State) -> handover::Tranche {
    let end = Instant::now() + Duration::from_secs(900);
    loop {
        let now = h.get(tranche).await;
        if now.state() == state {
            return now;
        }
        assert!(Instant::now() < end, "it stays {}", now.state().as_str_name());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn fetched(h: &Handover<'_>, tranche: &str, into: &Path) -> u64 {
    let request = handover::ReadBundleRequest { tranche_id: tranche.into(), path: String::new() };
    let mut stream = tranches(&h.programme.ministry).read_bundle(request).await.expect("the bundle").into_inner();
    let (mut bytes, mut open): (u64, Option<(String, tokio::fs::File)>) = (0, None);
    while let Some(piece) = stream.next().await {
        let piece = piece.expect("a piece");
        if open.as_ref().is_none_or(|(path, _)| *path != piece.path) {
            let path = into.join(&piece.path);
            tokio::fs::create_dir_all(path.parent().expect("a folder")).await.expect("it is made");
            if let Some((_, mut file)) = open.take() {
                file.flush().await.expect("it is written");
            }
            open = Some((piece.path, tokio::fs::File::create(path).await.expect("a file")));
        }
        bytes += piece.chunk.len() as u64;
        open.as_mut().expect("a file").1.write_all(&piece.chunk).await.expect("it is written");
    }
    if let Some((_, mut file)) = open {
        file.flush().await.expect("it is written");
    }
    bytes
}

/// Wall time and peak memory (MiB) of a command that must end with one of these codes.
fn measured(arguments: &[&str], codes: &[i32]) -> (Duration, u64, String) {
    let began = Instant::now();
    let out = Command::new("/usr/bin/env")
        .args(["python3", "-c", "import resource,subprocess,sys\np=subprocess.run(sys.argv[1:],stdout=subprocess.PIPE)\nsys.stdout.buffer.write(p.stdout)\nsys.stderr.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))\nsys.exit(p.returncode)"])
        .args(arguments)
        .output()
        .expect("python3 runs");
    let took = began.elapsed();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(codes.contains(&out.status.code().expect("a code")), "{arguments:?}: {:?}\n{said}", out.status);
    let kib: u64 = String::from_utf8_lossy(&out.stderr).lines().last().and_then(|l| l.trim().parse().ok()).unwrap_or(0);
    (took, kib / 1024, said)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes, and only of use with an optimised binary: `make bench`"]
async fn a_large_tranche() {
    let most = households();
    let platform = Platform::start(Form::Production).await.expect("PostgreSQL and NATS");
    let programme = Programme::begin(&platform).await;
    let began = Instant::now();
    import(&programme, most).await;
    println!("{most} households of two people imported in {:.1?}", began.elapsed());

    let goats = programme.package(AssistanceKind::Livestock, "goats", 10).await;
    let grant = programme.grant("JP-I", 1_000_000, BudgetKind::Livestock).await;
    programme.instalment(&grant, usd(1_000_000), on(2011, 1, 15)).await;
    let began = Instant::now();
    let heads = heads(&programme, most / WITH_PLAN).await;
    let plans: Vec<_> = futures::stream::iter(&heads)
        .map(|person| async { programme.submit(person, &goats).await.expect("a plan is submitted").id })
        .buffer_unordered(32)
        .collect()
        .await;
    println!("{} plans submitted in {:.1?}", plans.len(), began.elapsed());

    let waived = [handover::Criterion::OpenCases, handover::Criterion::OpenStock, handover::Criterion::UnreconciledMoney];
    let h = Handover::agreed(&programme, &waived).await;
    let pid = platform.pid("all");
    println!("peak memory of the platform before: {} MiB", peak(pid));
    let tranche = h.plan(&[RUBAVU]).await;
    let began = Instant::now();
    h.seal(&programme.iom, &tranche).await.expect("it is being sealed");
    until(&h, &tranche, State::Sealed).await;
    println!("sealed in {:.1?}, peak memory {} MiB", began.elapsed(), peak(pid));

    let began = Instant::now();
    h.bundle(&programme.iom, &tranche).await.expect("it is being bundled");
    let bundled = until(&h, &tranche, State::Bundled).await;
    let records: i64 = bundled.slices.iter().map(|slice| slice.records).sum();
    println!("bundled in {:.1?}, {records} records, peak memory {} MiB", began.elapsed(), peak(pid));

    let dir = tempfile::TempDir::new().expect("a folder");
    let began = Instant::now();
    let bytes = fetched(&h, &tranche, dir.path()).await;
    println!("fetched through the gateway in {:.1?}, {} MiB", began.elapsed(), bytes >> 20);

    let bag = dir.path().to_str().expect("a path");
    let binary = binary();
    let binary = binary.to_str().expect("a path");
    let sums = format!("find {bag} -type f -print0 | xargs -0 sha256sum");
    let mut rounds = Vec::new();
    for _ in 0..3 {
        let (reference, _, _) = measured(&["sh", "-c", &sums], &[0]);
        // Whole, and not signed by both yet.
        let (took, memory, _) = measured(&[binary, "handover", "verify", bag], &[0, 3]);
        println!("verified offline in {took:.2?} with {memory} MiB, sha256sum of the same files {reference:.2?}");
        rounds.push(took.as_secs_f64() / reference.as_secs_f64());
    }
    rounds.sort_by(f64::total_cmp);
    println!("verify to sha256sum, median of 3: {:.2} (goal: at most 3)", rounds[1]);

    let (iom, ministry) = (&programme.iom, &programme.ministry);
    h.verify(ministry, &tranche, true).await.expect("the ministry has verified it");
    h.sign(iom, &tranche, &h.sender_key).await.expect("IOM signs");
    let began = Instant::now();
    h.sign(ministry, &tranche, &h.recipient_key).await.expect("the ministry countersigns");
    until(&h, &tranche, State::Closed).await;
    println!("transferred and closed in {:.1?}, peak memory {} MiB", began.elapsed(), peak(pid));
}
