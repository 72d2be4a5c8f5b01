//! A tranche's bag where bundles are kept. The signed manifest is not there: it is a row, and changes with each signature.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use tahuka_bag::Handover;
use tahuka_chassis::{Config, Refusal, bundles};

use super::{Tranche, manifest};

/// The signed manifest's place in the bag.
pub const SIGNED: &str = "manifest.dsse.json";

#[derive(Clone)]
pub struct Bundles(bundles::Bundles);

impl Bundles {
    pub fn of(config: &Arc<Config>) -> Self {
        Bundles(bundles::Bundles::of(config))
    }

    pub async fn put(&self, tranche: &Tranche, path: &str, content: Vec<u8>) -> Result<(), Refusal> {
        self.0.put(tranche.id, tranche.bundle_number, path, content).await
    }

    pub async fn read(&self, tranche: &Tranche, path: &str) -> Result<BoxStream<'static, Result<Bytes, Refusal>>, Refusal> {
        if path == SIGNED {
            let signed = Bytes::from(tranche.envelope.clone().into_bytes());
            return Ok(Box::pin(futures::stream::iter([Ok(signed)])));
        }
        self.0.read(tranche.id, tranche.bundle_number, path).await
    }
}

/// Every file of the bag, the small ones that say what is in it first.
pub fn paths(handover: &Handover) -> Vec<String> {
    let tags = ["bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt", SIGNED, manifest::AGREEMENT];
    let slices = handover.services.values().flat_map(|slice| slice.files.keys().cloned());
    tags.into_iter().map(str::to_owned).chain(slices).collect()
}
