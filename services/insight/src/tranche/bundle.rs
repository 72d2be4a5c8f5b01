//! The tranche's figures, written into its bundle. They are there already when they are asked for (see `store`), so this
//! takes as long as the bundle's store does, and holds up nothing that is counted meanwhile.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tahuka_bag::Tally;
use tahuka_bag::merkle::Tree;
use tahuka_chassis::bundles::Bundles;
use tahuka_chassis::{Consumer, Event, Refusal, Tx, async_trait, edge};
use tahuka_proto::EventMessage as _;
use tahuka_proto::handover::v1::{BundledFile, ControlTotal, SliceBundled, TrancheBundleRequested};
use uuid::Uuid;

use super::{Figures, lines, schema, store};
use crate::custody::saga::SERVICE;
use crate::custody::{self, HOLDERS, Step};

/// Hears that a bundle is asked for.
pub struct Bundling {
    pub bundles: Bundles,
}

#[async_trait]
impl Consumer for Bundling {
    fn name(&self) -> &'static str {
        "bundle"
    }

    fn hears(&self) -> &'static [&'static str] {
        &[TrancheBundleRequested::KIND]
    }

    async fn handle(&self, tx: &mut Tx, event: &Event) -> Result<(), Refusal> {
        let e: TrancheBundleRequested = event.decode()?;
        let tranche = edge::uuid("tranche_id", &e.tranche_id)?;
        if !custody::store::first_answer(tx, event.id).await? {
            return Ok(());
        }
        // A read model that is being made anew has not come so far again.
        let sealed = custody::store::at(tx, tranche, Step::Sealed).await?;
        if !HOLDERS.iter().all(|holder| sealed.iter().any(|service| service == holder)) {
            return Err(Refusal::Unavailable("the tranche's figures".into()));
        }
        let figures = Figures::of(store::list(tx, tranche).await?);
        let (told, files) = written(tranche, e.bundle_number, &figures)?;
        for (path, content) in files {
            self.bundles.put(tranche, e.bundle_number, &path, content).await?;
        }
        tx.publish(event.custodian, tranche, &told).await
    }
}

type File = (String, Vec<u8>);

/// The files and what is told of them.
fn written(tranche: Uuid, bundle_number: i32, figures: &Figures) -> Result<(SliceBundled, Vec<File>), Refusal> {
    let schema = schema();
    let (mut tree, mut tally, mut content) = (Tree::new(), Tally::new(SERVICE, &[]), Vec::new());
    let counted = tally.of_table(&schema.table);
    for (line, record) in lines(figures)?.into_iter().zip(figures.records()) {
        tree.push(&line);
        if let Value::Object(record) = &record {
            tally.add(&counted, record);
        }
        content.extend_from_slice(&line);
        content.push(b'\n');
    }
    let files = [
        (schema.records_path(), content, tree.leaves()),
        (schema.schema_path(), schema.to_bytes().map_err(Refusal::internal)?, 0),
    ];
    let file = |(path, content, records): &(String, Vec<u8>, u64)| {
        Ok::<_, Refusal>(BundledFile {
            path: path.clone(),
            bytes: i64::try_from(content.len()).map_err(Refusal::internal)?,
            sha256: hex::encode(Sha256::digest(content)),
            records: i64::try_from(*records).map_err(Refusal::internal)?,
        })
    };
    let total = |t: tahuka_bag::Total| ControlTotal { name: t.name, by: t.by, value: t.value };
    let told = SliceBundled {
        tranche_id: tranche.to_string(),
        service: SERVICE.into(),
        bundle_number,
        files: files.iter().map(file).collect::<Result<_, _>>()?,
        merkle_root: hex::encode(tree.root()),
        records: i64::try_from(tree.leaves()).map_err(Refusal::internal)?,
        totals: tally.finish().into_iter().map(total).collect(),
    };
    Ok((told, files.into_iter().map(|(path, content, _)| (path, content)).collect()))
}
