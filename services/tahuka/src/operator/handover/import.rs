//! `tahuka handover import`: a bundle of another installation, taken into this one. Works on the services' databases, as
//! `tahuka restore` does; may be done while services run, and again after it broke off.

use std::path::PathBuf;
use std::time::Instant;

use chrono::NaiveDate;
use clap::Args;
use serde_json::json;
use tahuka_bag::verify::{self, Report};
use tahuka_bag::{Handover, PublicKey};
use tahuka_chassis::custody::import::{Incoming, Place, import};
use tahuka_chassis::{Config, Refusal, Store, clock, edge};
use tahuka_proto::handover::v1::TrancheSealRequested;
use tahuka_tenancy::Admission;
use uuid::Uuid;

use super::offline::{Opened, Opening};
use crate::house;

#[derive(Args)]
pub struct Import {
    /// The bag: a folder, or an archive of one (tar, gzip, age)
    #[arg(value_name = "BAG")]
    bag: PathBuf,
    /// The sender's public key as you have it from elsewhere: 64 hex digits, or a file
    #[arg(long, value_name = "KEY")]
    sender_key: Option<String>,
    /// The recipient's public key
    #[arg(long, value_name = "KEY")]
    recipient_key: Option<String>,
    /// The tenant of this installation that has the records from now on, by id [default: the bag's recipient]
    #[arg(long, value_name = "TENANT")]
    custodian: Option<Uuid>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    opening: Opening,
}

pub async fn run(config: &Config, options: &Import) -> Result<(), Refusal> {
    let started = Instant::now();
    let key = |told: &Option<String>, flag| {
        told.as_deref().map(PublicKey::parse_or_load).transpose().map_err(|e| Refusal::invalid(flag, e.to_string()))
    };
    let known = verify::Options {
        sender_key: key(&options.sender_key, "--sender-key")?,
        recipient_key: key(&options.recipient_key, "--recipient-key")?,
        ..Default::default()
    };
    let opened = match Opened::open(&options.bag, &options.opening)? {
        Ok(opened) => opened,
        Err(report) => return Err(refused(&report)),
    };
    let report = verify::verify(opened.root(), &known);
    let handover = match &report.handover {
        Some(handover) if report.is_whole() && report.is_signed_by_both() => handover,
        _ => return Err(refused(&report)),
    };
    let (admission, incoming) = read(handover, options, opened.root().to_owned())?;

    let specs = house::specs(&["all".to_owned()])?;
    tahuka_chassis::migrate(&specs, config).await?;
    let mut opened_stores = Vec::new();
    for spec in &specs {
        let store = Store::open(spec.name, &config.database, &config.data_dir).await?;
        let built = spec.for_command(store.clone(), config)?;
        opened_stores.push((spec, store, built));
    }
    let tenancy = opened_stores.iter().find(|(spec, ..)| spec.name == "tenancy");
    let (_, tenancy, _) = tenancy.ok_or_else(|| Refusal::internal("there is no tenancy"))?;
    let added = tahuka_tenancy::admit(tenancy, &admission).await?;
    let places: Vec<Place<'_>> = opened_stores.iter().map(|(spec, store, built)| Place { spec, store, built }).collect();
    let done = import(&places, &incoming).await?;
    for (_, store, _) in opened_stores {
        store.close().await;
    }
    let seconds = started.elapsed().as_secs_f64();
    if options.json {
        let told = json!({
            "tranche": handover.tranche.id, "bundle_number": handover.tranche.bundle_number, "custodian": incoming.recipient.to_string(),
            "records": report.records, "added": done.added, "passed": done.passed, "also_added": added, "seconds": seconds,
        });
        println!("{told:#}");
        return Ok(());
    }
    println!("{}, bundle {}: {} records verified", handover.tranche.name, handover.tranche.bundle_number, report.records);
    println!("  {} rows and events were not here; {} rows have another custodian now; {seconds:.1} s", done.added, done.passed);
    for what in added {
        println!("  added {what}");
    }
    Ok(())
}

fn refused(report: &Report) -> Refusal {
    let fault = report.faults.first().map_or_else(|| "it is not signed by both parties".to_owned(), ToString::to_string);
    Refusal::precondition("BUNDLE_REFUSED", format!("nothing is imported: {fault}; see `tahuka handover verify`"))
}

fn read(handover: &Handover, options: &Import, bag: PathBuf) -> Result<(Admission, Incoming), Refusal> {
    let id = |field: &str, told: &str| edge::uuid(field, told);
    let tranche = &handover.tranche;
    let programme = id("programme.id", &tranche.programme.id)?;
    let (sender, recipient) = (id("sender.id", &tranche.sender.id)?, id("recipient.id", &tranche.recipient.id)?);
    let custodian = options.custodian.unwrap_or(recipient);
    let day = |told: &str, otherwise: NaiveDate| told.parse::<NaiveDate>().unwrap_or(otherwise);
    let since = handover.sealed_at.get(..10).map_or_else(clock::today, |told| day(told, clock::today()));
    let admission = Admission {
        programme_id: programme,
        name: tranche.programme.name.clone(),
        starts_on: day(&tranche.programme.starts_on, since),
        ends_on: day(&tranche.programme.ends_on, since),
        districts: tranche.programme.districts.clone(),
        sender: (sender, tranche.sender.name.clone()),
        recipient: (recipient, tranche.recipient.name.clone()),
        custodian,
        agreement_id: id("agreement.id", &handover.agreement.id)?,
        since,
    };
    let request = TrancheSealRequested {
        tranche_id: tranche.id.clone(),
        programme_id: tranche.programme.id.clone(),
        sender_id: tranche.sender.id.clone(),
        recipient_id: custodian.to_string(),
        happened_on: Some(edge::to_date(since)),
        districts: tranche.districts.clone(),
        package_kinds: tranche.package_kinds.clone(),
        project_ids: tranche.project_ids.clone(),
        grant_ids: tranche.grant_ids.clone(),
    };
    let incoming = Incoming {
        bag,
        tranche: id("tranche.id", &tranche.id)?,
        bundle_number: i32::try_from(tranche.bundle_number).map_err(Refusal::internal)?,
        programme,
        sender,
        recipient: custodian,
        request,
    };
    Ok((admission, incoming))
}
