//! The edge of imports: the stream becomes bytes, the bytes rows, the rows batches. Nothing waits for the whole file.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use csv::{ByteRecord, StringRecord};
use sha2::{Digest, Sha256};
use tahuka_chassis::{Caller, Page, Refusal, Store, Tx, clock, edge};
use tahuka_proto::registry::v1::import_households_request::Part;
use tahuka_proto::registry::v1::import_service_server::ImportService;
use tahuka_proto::registry::v1::{self as proto, *};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use super::held::State;
use super::landing::{BATCH, Told, land};
use super::store::{self, error, held, run};
use super::{Fault, is_header, parse};
use crate::fields::text;
use crate::vulnerability::store as vulnerability;

/// Largest file, in bytes.
const LARGEST: usize = 256 * 1024 * 1024;
/// Errors told with the import itself.
const TOLD: u64 = 100;

pub struct Imports {
    pub store: Store,
}

#[tonic::async_trait]
impl ImportService for Imports {
    async fn import_households(
        &self,
        request: Request<Streaming<ImportHouseholdsRequest>>,
    ) -> Result<Response<ImportHouseholdsResponse>, Status> {
        let (caller, messages) = Caller::take_stream(request)?;
        let import = self.import(&caller, messages).await?;
        Ok(Response::new(ImportHouseholdsResponse { import: Some(import) }))
    }

    async fn get_import(&self, request: Request<GetImportRequest>) -> Result<Response<GetImportResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("import_id", &request.import_id)?;
        let tx = self.store.read(&caller).await?;
        let run = store::get(&tx, id).await?;
        Ok(Response::new(GetImportResponse { import: Some(shown(&tx, &caller, &run).await?) }))
    }

    async fn list_import_errors(
        &self,
        request: Request<ListImportErrorsRequest>,
    ) -> Result<Response<ListImportErrorsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("import_id", &request.import_id)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("import errors {id}"))?;
        let tx = self.store.read(&caller).await?;
        store::get(&tx, id).await?;
        let (rows, next_page_token) = page.cut(store::list_errors(&tx, id, &page).await?, |row| row.id);
        let errors = rows.into_iter().map(to_error).collect();
        Ok(Response::new(ListImportErrorsResponse { errors, next_page_token }))
    }

    async fn list_held_submissions(
        &self,
        request: Request<ListHeldSubmissionsRequest>,
    ) -> Result<Response<ListHeldSubmissionsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme = edge::uuid("programme_id", &request.programme_id)?;
        let tranche = edge::optional_uuid("tranche_id", &request.tranche_id)?;
        let filter = format!("held {programme} {tranche:?}");
        let page = Page::parse(request.page_size, &request.page_token, &caller, &filter)?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list_held(&tx, programme, tranche, &page).await?, |row| row.id);
        let shown = |row: held::Model| {
            let (custodian, district) = (row.custodian_id, row.district.clone());
            caller.disclose(custodian, Some(&district), to_held(row))
        };
        Ok(Response::new(ListHeldSubmissionsResponse { submissions: rows.into_iter().map(shown).collect(), next_page_token }))
    }
}

impl Imports {
    /// Takes the file in; a refused row is no refusal of the file.
    pub async fn import<S>(&self, caller: &Caller, mut stream: S) -> Result<proto::Import, Refusal>
    where
        S: Stream<Item = Result<ImportHouseholdsRequest, Status>> + Unpin,
    {
        let Some(Part::Start(start)) = stream.try_next().await?.and_then(|first| first.part) else {
            return Err(Refusal::invalid("start", "must be the first message"));
        };
        let request_id = edge::uuid("start.request_id", &start.request_id)?;
        let programme_id = edge::uuid("start.programme_id", &start.programme_id)?;
        let file_name = text("start.file_name", &start.file_name)?;

        let tx = self.store.begin(caller).await?;
        let mut run = store::start(&tx, programme_id, &file_name, request_id).await?;
        let sets = vulnerability::sets(&tx, programme_id).await?;
        tx.commit().await?;

        if run.finished_at.is_some() {
            let (bytes, mut unread) = channel(1);
            let (digest, ()) = tokio::try_join!(pump(stream, bytes), async {
                while unread.recv().await.is_some() {}
                Ok::<_, Refusal>(())
            })?;
            if run.digest.as_deref() != Some(&digest) {
                return Err(Refusal::invalid("start.request_id", "was used for another file; make a new one"));
            }
        } else {
            let (bytes, chunks) = channel(16);
            let (batches, mut ready) = channel(2);
            let reader = tokio::task::spawn_blocking(move || read(Chunks { chunks, current: Bytes::new() }, &batches));
            let landed = async {
                while let Some(batch) = ready.recv().await {
                    let batch: Vec<Told> = batch?;
                    // Another import may have landed one of the rows meanwhile, or a handover begun: then that is known the
                    // second time.
                    let mut landed = land(&self.store, caller, &mut run, &sets, &batch).await;
                    if matches!(landed, Err(Refusal::Storage(_) | Refusal::Sealed { .. })) {
                        landed = land(&self.store, caller, &mut run, &sets, &batch).await;
                    }
                    landed?;
                }
                Ok::<_, Refusal>(())
            };
            let (digest, ()) = tokio::try_join!(pump(stream, bytes), landed)?;
            reader.await.map_err(Refusal::internal)?;
            run.digest = Some(digest);
            run.finished_at = Some(clock::now());
            let tx = self.store.begin(caller).await?;
            store::write(&tx, &run).await?;
            tx.commit().await?;
        }
        let tx = self.store.read(caller).await?;
        shown(&tx, caller, &run).await
    }
}

/// Passes the stream's chunks on; the digest of the file at its end. A stream that breaks is not an end: the reader is
/// dropped with this before it can take half a row for a whole one.
async fn pump<S>(mut stream: S, bytes: Sender<Bytes>) -> Result<String, Refusal>
where
    S: Stream<Item = Result<ImportHouseholdsRequest, Status>> + Unpin,
{
    let mut digest = Sha256::new();
    let mut size = 0;
    while let Some(message) = stream.try_next().await? {
        let Some(Part::Chunk(chunk)) = message.part else {
            return Err(Refusal::invalid("chunk", "must be the only thing after the first message"));
        };
        size += chunk.len();
        if size > LARGEST {
            return Err(Refusal::invalid("chunk", "the file is larger than 256 MiB; split it"));
        }
        digest.update(&chunk);
        if bytes.send(Bytes::from(chunk)).await.is_err() {
            break;
        }
    }
    Ok(hex::encode(digest.finalize()))
}

/// The file as the CSV reader wants it.
struct Chunks {
    chunks: Receiver<Bytes>,
    current: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let n = self.current.len().min(into.len());
        self.current.copy_to_slice(&mut into[..n]);
        Ok(n)
    }
}

/// Reads rows and hands them on in batches, until the file ends or nobody takes them.
fn read(file: Chunks, batches: &Sender<Result<Vec<Told>, Refusal>>) {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(file);
    let mut record = ByteRecord::new();
    let mut batch = Vec::with_capacity(BATCH);
    let today = clock::today();
    let mut row = 0;
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(e) => {
                let _ = batches.blocking_send(Err(Refusal::internal(e)));
                return;
            }
        }
        row += 1;
        let record = StringRecord::from_byte_record(record.clone()).ok();
        if row == 1 {
            if !record.is_some_and(|record| is_header(&record)) {
                let columns = super::COLUMNS.join(",");
                let _ = batches
                    .blocking_send(Err(Refusal::invalid("chunk", format!("the file must begin with the header {columns}"))));
                return;
            }
            continue;
        }
        let (what, cells) = match record {
            Some(record) => (parse(&record, today), record.iter().map(str::to_owned).collect()),
            None => (Err(vec![Fault { column: "", rule: "is not UTF-8 text" }]), Vec::new()),
        };
        batch.push(Told { row, what, cells });
        if batch.len() == BATCH && batches.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
            return;
        }
    }
    if row == 0 {
        let _ = batches.blocking_send(Err(Refusal::invalid("chunk", "the file is empty")));
        return;
    }
    let _ = batches.blocking_send(Ok(batch));
}

/// The import as the caller may see it, with its first errors.
async fn shown(tx: &Tx, caller: &Caller, run: &run::Model) -> Result<proto::Import, Refusal> {
    let errors = store::first_errors(tx, run.id, TOLD).await?;
    let state = if run.finished_at.is_some() { ImportState::Finished } else { ImportState::Running };
    let message = proto::Import {
        id: run.id.to_string(),
        programme_id: run.programme_id.to_string(),
        custodian_id: run.custodian_id.to_string(),
        file_name: run.file_name.clone(),
        state: state.into(),
        rows: run.rows_read,
        accepted: run.accepted,
        repeated: run.repeated,
        rejected: run.rejected,
        held: run.held,
        unassessed: run.unassessed,
        errors: errors.into_iter().map(to_error).collect(),
        recorded_at: Some(edge::timestamp(run.recorded_at)),
        finished_at: run.finished_at.map(edge::timestamp),
    };
    Ok(caller.disclose(run.custodian_id, None, message))
}

fn to_error(row: error::Model) -> proto::ImportError {
    proto::ImportError { row: row.row_number, column: row.column_name, reason: row.reason }
}

fn to_held(row: held::Model) -> proto::HeldSubmission {
    proto::HeldSubmission {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        import_id: row.import_id.to_string(),
        row: row.row_number,
        tranche_id: row.tranche_id.to_string(),
        district: row.district,
        state: State::parse(&row.state).map_or(0, State::number),
        column: row.column_name,
        reason: row.reason,
        recorded_at: Some(edge::timestamp(row.recorded_at)),
        settled_at: row.settled_at.map(edge::timestamp),
    }
}
