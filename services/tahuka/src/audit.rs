//! Walks the access logs' chains: whether every row is as it was written, and none is gone.

use tahuka_chassis::access_log::{self, Verdict};
use tahuka_chassis::{Config, Refusal, Store};

use crate::house;

#[derive(clap::Subcommand)]
pub enum Audit {
    /// Walk the chain of each service's access log; the first broken row is named, and the exit code is 1
    Verify {
        #[arg(long, value_delimiter = ',', default_value = "all")]
        target: Vec<String>,
        /// A head that was noted earlier and must still be in the chain
        #[arg(long, value_name = "SERVICE=HASH")]
        noted: Vec<String>,
    },
}

pub async fn run(config: &Config, audit: Audit) -> Result<(), Refusal> {
    let Audit::Verify { target, noted } = audit;
    let specs = house::specs(&target)?;
    let mut heads = Vec::new();
    for pair in &noted {
        let (service, hash) = pair.split_once('=').ok_or_else(|| Refusal::invalid("--noted", "must be SERVICE=HASH"))?;
        if !specs.iter().any(|spec| spec.name == service) {
            return Err(Refusal::invalid("--noted", format!("{service} is not verified here")));
        }
        heads.push((service, hash));
    }
    let mut broken = None;
    for spec in &specs {
        let embedded = config.data_dir.join(format!("{}.db", spec.name));
        if config.database.is_embedded() && !embedded.exists() {
            let advice = format!("{} is not there; say --data-dir or --database", embedded.display());
            return Err(Refusal::precondition("NO_DATABASE", advice));
        }
        let store = Store::open(spec.name, &config.database, &config.data_dir).await?;
        let noted = heads.iter().find(|(service, _)| *service == spec.name).map_or("", |(_, hash)| hash);
        match access_log::verify(&store, noted).await? {
            Verdict::Whole { rows, head } => {
                let head = if head.is_empty() { "-" } else { &head };
                println!("{:<12} {rows:>9} rows  head {head}", spec.name);
            }
            Verdict::Broken { row, why } => {
                println!("{:<12} broken at row {row}", spec.name);
                broken.get_or_insert(format!("the access log of {} is broken: row {row} {why}", spec.name));
            }
        }
    }
    broken.map_or(Ok(()), |advice| Err(Refusal::precondition("ACCESS_LOG_BROKEN", advice)))
}
