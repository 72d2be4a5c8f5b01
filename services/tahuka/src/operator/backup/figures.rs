//! What a backup is measured by: counted of the running platform at the moment of the backup, and again of what is
//! restored from it.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use sha2::{Digest as _, Sha256};
use tahuka_chassis::access_log::{self, Verdict};
use tahuka_chassis::{Caller, Config, Refusal, ServiceSpec, Store};
use tahuka_proto::insight::v1::GetProgrammeReportRequest;
use tahuka_proto::insight::v1::report_service_client::ReportServiceClient;
use tonic::{Request, Status};

pub type Figures = BTreeMap<String, String>;

pub async fn of(specs: &[ServiceSpec], stores: &[Store], config: &Config) -> Result<Figures, Refusal> {
    let mut figures = Figures::new();
    for (spec, store) in specs.iter().zip(stores) {
        let told = match access_log::verify(store, "").await? {
            Verdict::Whole { rows, head } => format!("{rows} rows, head {}", if head.is_empty() { "-" } else { &head }),
            Verdict::Broken { row, why } => format!("broken: row {row} {why}"),
        };
        figures.insert(format!("access_log.{}", spec.name), told);
        policies(store, &mut figures).await?;
        match spec.name {
            "funding" => ledger(store, &mut figures).await?,
            "insight" => reports(spec, store, config, &mut figures).await?,
            _ => {}
        }
    }
    Ok(figures)
}

async fn rows(store: &Store, sql: &str) -> Result<Vec<sea_orm::QueryResult>, Refusal> {
    let tx = store.read(&Caller::system("backup")).await?;
    Ok(tx.conn().query_all_raw(Statement::from_string(tx.conn().get_database_backend(), sql)).await?)
}

/// Who may see and change which rows: all of it in one digest, and how many tables are without any.
async fn policies(store: &Store, figures: &mut Figures) -> Result<(), Refusal> {
    let service = store.service();
    if store.read(&Caller::system("backup")).await?.conn().get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let sql = format!(
        "SELECT concat_ws('|', tablename, policyname, array_to_string(roles, ','), cmd, qual, with_check) AS told \
         FROM pg_policies WHERE schemaname = '{service}' ORDER BY tablename, policyname"
    );
    let told = rows(store, &sql).await?;
    let mut digest = Sha256::new();
    for row in &told {
        digest.update(row.try_get::<String>("", "told")?);
        digest.update("\n");
    }
    figures.insert(format!("policies.{service}"), format!("{}, sha256 {}", told.len(), hex::encode(digest.finalize())));
    let open = format!(
        "SELECT relname::text AS told FROM pg_class WHERE relnamespace = '{service}'::regnamespace AND relkind = 'r' \
         AND NOT relrowsecurity AND relname <> 'seaql_migrations' ORDER BY relname"
    );
    let open = rows(store, &open).await?.iter().map(|row| row.try_get::<String>("", "told")).collect::<Result<Vec<_>, _>>()?;
    figures.insert(format!("policies.{service}.tables_without"), if open.is_empty() { "0".into() } else { open.join(",") });
    Ok(())
}

/// The balances of the ledger by bucket, that they are the sums of its entries, and that the entries come to nothing.
async fn ledger(store: &Store, figures: &mut Figures) -> Result<(), Refusal> {
    let sums = "SELECT currency, bucket, CAST(sum(minor) AS BIGINT) AS minor FROM balance GROUP BY currency, bucket";
    for row in rows(store, sums).await? {
        let (currency, bucket): (String, String) = (row.try_get("", "currency")?, row.try_get("", "bucket")?);
        figures.insert(format!("ledger.{currency}.{bucket}"), row.try_get::<i64>("", "minor")?.to_string());
    }
    let drift = "SELECT currency, CAST(sum(minor) AS BIGINT) AS minor FROM entry GROUP BY currency";
    for row in rows(store, drift).await? {
        let currency: String = row.try_get("", "currency")?;
        figures.insert(format!("ledger.{currency}.drift"), row.try_get::<i64>("", "minor")?.to_string());
    }
    let apart = "SELECT count(*) AS balances FROM balance AS b WHERE b.minor <> (SELECT coalesce(sum(e.minor), 0) FROM entry AS e \
                 WHERE e.grant_id = b.grant_id AND e.bucket = b.bucket AND e.currency = b.currency \
                 AND coalesce(e.line_id, '00000000-0000-0000-0000-000000000000') = b.line_id)";
    for row in rows(store, &nil_as_stored(store, apart).await?).await? {
        figures.insert("ledger.balances_apart_from_entries".into(), row.try_get::<i64>("", "balances")?.to_string());
    }
    Ok(())
}

/// SQLite keeps ids as bytes.
async fn nil_as_stored(store: &Store, sql: &str) -> Result<String, Refusal> {
    let postgres = store.read(&Caller::system("backup")).await?.conn().get_database_backend() == DbBackend::Postgres;
    let nil = "'00000000-0000-0000-0000-000000000000'";
    Ok(if postgres { sql.to_owned() } else { sql.replace(nil, "zeroblob(16)") })
}

/// Every figure of every programme's report, as the service itself composes it.
async fn reports(spec: &ServiceSpec, store: &Store, config: &Config, figures: &mut Figures) -> Result<(), Refusal> {
    let built = spec.for_command(store.clone(), config)?;
    let as_house = |mut request: Request<()>| {
        request.extensions_mut().insert(Caller::system("backup"));
        Ok::<_, Status>(request)
    };
    let mut reports = ReportServiceClient::with_interceptor(built.routes.prepare(), as_house);
    for row in rows(store, "SELECT DISTINCT programme_id FROM heard").await? {
        let programme_id = row.try_get::<uuid::Uuid>("", "programme_id")?.to_string();
        let request = GetProgrammeReportRequest { programme_id: programme_id.clone(), since: None };
        let Some(report) = reports.get_programme_report(request).await?.into_inner().report else { continue };
        let name = |code: &str| format!("report.{programme_id}.{code}");
        figures.insert(name("events_counted"), report.events_counted.to_string());
        for figure in report.sections.iter().flat_map(|section| &section.figures) {
            let code =
                if figure.currency.is_empty() { figure.code.clone() } else { format!("{}.{}", figure.code, figure.currency) };
            figures.insert(name(&code), figure.value.map_or_else(|| "-".to_owned(), |value| value.to_string()));
        }
        for district in &report.districts {
            for figure in &district.figures {
                let value = figure.value.map_or_else(|| "-".to_owned(), |value| value.to_string());
                figures.insert(name(&format!("{}.{}", district.district, figure.code)), value);
            }
        }
    }
    Ok(())
}
