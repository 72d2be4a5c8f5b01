//! When a service's database was last backed up, and when a backup of it was last tried out: one row each.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, Statement};

use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::store::{Store, Tx};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Backup,
    /// A backup was restored elsewhere and held what it should.
    Drill,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Of which moment the archive tells.
    pub taken_at: DateTime<Utc>,
    pub sha256: String,
    pub bytes: i64,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Backup => "backup",
            Kind::Drill => "drill",
        }
    }
}

/// Puts the mark down, over an older one.
pub async fn note(store: &Store, kind: Kind, mark: &Mark) -> Result<(), Refusal> {
    let tx = store.system("backup").await?;
    let sql = "INSERT INTO backup_mark (kind, taken_at, sha256, bytes) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (kind) DO UPDATE SET taken_at = excluded.taken_at, sha256 = excluded.sha256, bytes = excluded.bytes";
    tx.run(sql, vec![kind.word().into(), mark.taken_at.into(), mark.sha256.as_str().into(), mark.bytes.into()]).await?;
    tx.commit().await
}

/// The newest mark, where there is one.
pub async fn noted(store: &Store, kind: Kind) -> Result<Option<Mark>, Refusal> {
    noted_in(&store.read(&Caller::system("backup")).await?, kind).await
}

pub(crate) async fn noted_in(tx: &Tx, kind: Kind) -> Result<Option<Mark>, Refusal> {
    let sql = "SELECT taken_at, sha256, bytes FROM backup_mark WHERE kind = $1";
    let backend = tx.conn().get_database_backend();
    let row = tx.conn().query_one_raw(Statement::from_sql_and_values(backend, sql, [kind.word().into()])).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Mark {
        taken_at: row.try_get("", "taken_at")?,
        sha256: row.try_get("", "sha256")?,
        bytes: row.try_get("", "bytes")?,
    }))
}
