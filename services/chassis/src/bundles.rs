//! Where bundles of handovers are kept: one place that every service of the house reaches, a folder or an S3-compatible
//! store. A file is there whole or not at all, and writing it again puts the new one in its place.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use uuid::Uuid;

use crate::config::Config;
use crate::refusal::Refusal;

/// Parts of a large file that is written; S3 takes no smaller ones.
const PART: usize = 8 << 20;
/// Parts that are under way at once.
const AT_ONCE: usize = 2;

#[derive(Clone)]
pub struct Bundles {
    config: Arc<Config>,
    opened: Arc<OnceLock<(Arc<dyn ObjectStore>, Path)>>,
}

impl Bundles {
    /// Opened when it is first used.
    pub fn of(config: &Arc<Config>) -> Self {
        Bundles { config: config.clone(), opened: Arc::default() }
    }

    fn opened(&self) -> Result<&(Arc<dyn ObjectStore>, Path), Refusal> {
        if self.opened.get().is_none() {
            let _ = self.opened.set(open(&self.config)?);
        }
        self.opened.get().ok_or_else(|| Refusal::internal("the bundles' store is not open"))
    }

    fn place(&self, tranche: Uuid, bundle_number: i32, path: &str) -> Result<(Arc<dyn ObjectStore>, Path), Refusal> {
        let (store, root) = self.opened()?;
        let place = [root.as_ref(), &tranche.to_string(), &bundle_number.to_string(), path].join("/");
        Ok((store.clone(), Path::parse(place.trim_start_matches('/')).map_err(Refusal::internal)?))
    }

    /// Writes a small file.
    pub async fn put(&self, tranche: Uuid, bundle_number: i32, path: &str, content: Vec<u8>) -> Result<(), Refusal> {
        let (store, place) = self.place(tranche, bundle_number, path)?;
        store.put(&place, content.into()).await.map_err(unreachable)?;
        Ok(())
    }

    /// Writes a file of any size in parts; it is there once the writer is shut down.
    pub fn writer(&self, tranche: Uuid, bundle_number: i32, path: &str) -> Result<BufWriter, Refusal> {
        let (store, place) = self.place(tranche, bundle_number, path)?;
        Ok(BufWriter::with_capacity(store, place, PART).with_max_concurrency(AT_ONCE))
    }

    /// The file's bytes in pieces. NOT_FOUND where there is none.
    pub async fn read(
        &self,
        tranche: Uuid,
        bundle_number: i32,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, Refusal>>, Refusal> {
        let (store, place) = self.place(tranche, bundle_number, path)?;
        let got = store.get(&place).await.map_err(unreachable)?;
        Ok(Box::pin(got.into_stream().map_err(unreachable)))
    }
}

/// A store that does not answer may answer later.
fn unreachable(error: object_store::Error) -> Refusal {
    match error {
        object_store::Error::NotFound { .. } => Refusal::not_found("file of the bundle", None),
        object_store::Error::InvalidPath { .. } | object_store::Error::UnknownConfigurationKey { .. } => Refusal::internal(error),
        other => {
            tracing::warn!(error = %other, "the bundles' store does not do what it is asked");
            Refusal::Unavailable("the store of bundles".into())
        }
    }
}

fn open(config: &Config) -> Result<(Arc<dyn ObjectStore>, Path), Refusal> {
    let wrong = |why: String| Refusal::invalid("bundles.url", why);
    let Some(url) = &config.bundles.url else {
        let dir = config.data_dir.join("bundles");
        return Ok((folder(&dir)?, Path::default()));
    };
    let url = url::Url::parse(url).map_err(|e| wrong(e.to_string()))?;
    if url.scheme() == "file" {
        let dir = url.to_file_path().map_err(|()| wrong("must be file:///FOLDER".into()))?;
        return Ok((folder(&dir)?, Path::default()));
    }
    // Keys, region and endpoint as every S3 tool takes them: AWS_ACCESS_KEY_ID and the like.
    // Whoever makes TLS first says with whose arithmetic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
    let (store, root) =
        object_store::parse_url_opts(&url, settings.map(|(k, v)| (k.to_lowercase(), v))).map_err(|e| wrong(e.to_string()))?;
    Ok((store.into(), root))
}

fn folder(dir: &std::path::Path) -> Result<Arc<dyn ObjectStore>, Refusal> {
    std::fs::create_dir_all(dir).map_err(|e| Refusal::internal(format!("{}: {e}", dir.display())))?;
    Ok(Arc::new(LocalFileSystem::new_with_prefix(dir).map_err(Refusal::internal)?))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::config::BundlesConfig;

    async fn content(bundles: &Bundles, tranche: Uuid, path: &str) -> Result<Vec<u8>, Refusal> {
        let pieces: Vec<Bytes> = bundles.read(tranche, 1, path).await?.try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn a_file_is_there_once_it_is_whole_and_is_written_again_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        for url in [None, Some(url::Url::from_directory_path(dir.path().join("elsewhere")).unwrap().to_string())] {
            let config = Config { data_dir: dir.path().into(), bundles: BundlesConfig { url }, ..Config::default() };
            let bundles = Bundles::of(&Arc::new(config));
            let (tranche, path) = (crate::ids::new_id(), "data/registry/household.jsonl");
            assert!(matches!(content(&bundles, tranche, path).await, Err(Refusal::NotFound { .. })));
            for text in ["one", "two"] {
                let mut writer = bundles.writer(tranche, 1, path).unwrap();
                writer.write_all(text.as_bytes()).await.unwrap();
                writer.shutdown().await.unwrap();
                assert_eq!(content(&bundles, tranche, path).await.unwrap(), text.as_bytes());
            }
            bundles.put(tranche, 1, "bagit.txt", b"small".to_vec()).await.unwrap();
            assert_eq!(content(&bundles, tranche, "bagit.txt").await.unwrap(), b"small");
            assert!(bundles.put(tranche, 1, "../out", Vec::new()).await.is_err());
        }
    }
}
