//! The access log: answers that show somebody are written before they leave, and the chain shows what was tampered with.

#![allow(clippy::expect_used)]

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use tahuka_chassis::access_log::{self, Verdict};
use tahuka_chassis::custody::Slice;
use tahuka_chassis::passport::{Bearer, METADATA, Mint};
use tahuka_chassis::{Built, Caller, Config, Ctx, House, ScopeEntry, ServiceSpec, Store, TenantKind, ids, keys};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::registry::v1::individual_service_client::IndividualServiceClient;
use tahuka_proto::registry::v1::individual_service_server::{IndividualService, IndividualServiceServer};
use tahuka_proto::registry::v1::*;
use tempfile::TempDir;
use tonic::metadata::MetadataValue;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

/// A registry in which everybody who is asked for is there, in the caller's own custody.
struct Everybody;

#[tonic::async_trait]
impl IndividualService for Everybody {
    async fn get_individual(&self, request: Request<GetIndividualRequest>) -> Result<Response<GetIndividualResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let individual = Individual {
            id: request.individual_id,
            household_id: ids::new_id().to_string(),
            custodian_id: caller.tenant_id.to_string(),
            district: "RW33".into(),
            surname: "UWIMANA".into(),
            ..Default::default()
        };
        let individual = caller.disclose(caller.tenant_id, Some("RW33"), individual);
        Ok(Response::new(GetIndividualResponse { individual: Some(individual) }))
    }

    async fn list_individuals(
        &self,
        request: Request<ListIndividualsRequest>,
    ) -> Result<Response<ListIndividualsResponse>, Status> {
        let (caller, _) = Caller::take(request)?;
        let nobody = Individual { surname: "UWIMANA".into(), ..Default::default() };
        caller.disclose(caller.tenant_id, Some("RW33"), nobody);
        Err(Status::aborted("it is refused after all"))
    }

    async fn update_individual(&self, _: Request<UpdateIndividualRequest>) -> Result<Response<UpdateIndividualResponse>, Status> {
        Err(Status::unimplemented("not of this registry"))
    }
}

fn service() -> ServiceSpec {
    fn build(_: Ctx) -> Built {
        Built { routes: Routes::new(IndividualServiceServer::new(Everybody)), consumers: Vec::new() }
    }
    ServiceSpec { name: "registry", migrations: Vec::new, scoped_tables: &[], shared_tables: &[], slice: &Slice::NONE, build }
}

struct Registry {
    config: Config,
    /// Two processes on one database on PostgreSQL, one on SQLite.
    houses: Vec<House>,
    mint: Mint,
    tenant: Uuid,
    _dir: TempDir,
}

impl Registry {
    async fn on_sqlite() -> Registry {
        let dir = TempDir::new().expect("a directory");
        Self::start(Config { data_dir: dir.path().to_owned(), ..Config::default() }, dir, 1).await
    }

    async fn on_postgres() -> Option<Registry> {
        let given = std::env::var("TAHUKA_TEST_DATABASE_URL").ok();
        let required = std::env::var("TAHUKA_TEST_REQUIRE").is_ok_and(|v| v == "1");
        assert!(given.is_some() || !required, "TAHUKA_TEST_DATABASE_URL must be set: run `make test`");
        let url = given?;
        let name = format!("tahuka_log_{}", Uuid::new_v4().simple());
        let server = Database::connect(&url).await.expect("the database server answers");
        server.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database can be made");
        let (base, _) = url.rsplit_once('/').expect("a database URL has a path");
        let dir = TempDir::new().expect("a directory");
        let mut config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        config.database.url = Some(format!("{base}/{name}"));
        Some(Self::start(config, dir, 2).await)
    }

    async fn start(config: Config, dir: TempDir, processes: usize) -> Registry {
        let mut houses = Vec::new();
        for _ in 0..processes {
            houses.push(House::start(vec![service()], Arc::new(config.clone())).await.expect("the house starts"));
        }
        let key: SigningKey = keys::signing_key(&config.passport_key_file()).expect("a key");
        Registry { config, houses, mint: Mint::new(&key).expect("a mint"), tenant: ids::new_id(), _dir: dir }
    }

    fn asked<M>(&self, level: DisclosureLevel, message: M) -> Request<M> {
        let bearer = Bearer {
            subject: "somebody".into(),
            tenant_id: self.tenant,
            tenant_kind: TenantKind::Operator,
            roles: vec!["case_worker".into()],
            permissions: vec!["registry.*".into()],
            scope: vec![ScopeEntry {
                category: DataCategory::Registration.into(),
                level: level.into(),
                custodian: self.tenant,
                ..Default::default()
            }],
            ..Bearer::default()
        };
        let mut request = Request::new(message);
        let passport = self.mint.passport(&bearer).expect("a passport");
        request.metadata_mut().insert(METADATA, MetadataValue::try_from(passport).expect("it is text"));
        request
    }

    fn client(&self, process: usize) -> IndividualServiceClient<tahuka_chassis::Peer> {
        let house = &self.houses[process % self.houses.len()];
        IndividualServiceClient::new(house.peers.channel("registry").expect("it is here"))
    }

    async fn read(&self, process: usize, level: DisclosureLevel) -> Result<Individual, Status> {
        let request = GetIndividualRequest { individual_id: ids::new_id().to_string() };
        let answer = self.client(process).get_individual(self.asked(level, request)).await?;
        Ok(answer.into_inner().individual.expect("somebody"))
    }

    /// So many at once.
    async fn reads(&self, count: usize) {
        let all = (0..count).map(|n| self.read(n, DisclosureLevel::Identified));
        for answer in futures::future::join_all(all).await {
            assert_eq!(answer.expect("an answer").surname, "UWIMANA");
        }
    }

    fn store(&self) -> &Store {
        &self.houses[0].stores[0].1
    }

    async fn verdict(&self) -> Verdict {
        access_log::verify(self.store(), "").await.expect("the chain can be walked")
    }

    async fn rows(&self) -> i64 {
        match self.verdict().await {
            Verdict::Whole { rows, .. } => rows,
            broken => panic!("{broken:?}"),
        }
    }

    /// The database, as its owner.
    async fn owner(&self) -> DatabaseConnection {
        let url = match &self.config.database.url {
            Some(url) => format!("{url}?options=-c%20search_path%3Dregistry"),
            None => format!("sqlite://{}", self.config.data_dir.join("registry.db").display()),
        };
        Database::connect(url).await.expect("the database answers")
    }

    /// What only the owner of the database can do: with triggers and policies off.
    async fn tamper(&self, sql: &[&str]) {
        let db = self.owner().await;
        let postgres = db.get_database_backend() == DbBackend::Postgres;
        for table in ["access_log", "access_log_subject", "access_log_head"] {
            if postgres {
                for off in ["DISABLE TRIGGER ALL", "NO FORCE ROW LEVEL SECURITY"] {
                    db.execute_unprepared(&format!("ALTER TABLE {table} {off}")).await.expect("the owner may");
                }
            }
        }
        if !postgres {
            db.execute_unprepared("PRAGMA foreign_keys = OFF").await.expect("the owner may");
            let named = Statement::from_string(DbBackend::Sqlite, "SELECT name FROM sqlite_master WHERE type = 'trigger'");
            for row in db.query_all_raw(named).await.expect("triggers") {
                let name: String = row.try_get("", "name").expect("a name");
                db.execute_unprepared(&format!("DROP TRIGGER {name}")).await.expect("the owner may");
            }
        }
        for sql in sql {
            db.execute_unprepared(sql).await.expect("the owner may");
        }
        db.close().await.expect("it closes");
    }
}

/// Runs a story on SQLite, and on PostgreSQL where it is given.
macro_rules! on_both {
    ($($story:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() { super::$story(super::Registry::on_sqlite().await).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                if let Some(registry) = super::Registry::on_postgres().await { super::$story(registry).await; }
            })*
        }
    };
}

on_both![
    readers_at_once_leave_one_chain,
    only_what_shows_somebody_by_name_is_written,
    rows_are_not_changed_by_the_house_itself,
    a_changed_row_is_named,
    a_changed_subject_is_named,
    a_removed_row_is_named,
    rows_cut_off_the_end_are_missed,
    an_inserted_row_is_named,
    a_chain_made_anew_does_not_hold_the_noted_head,
    an_answer_that_cannot_be_written_down_does_not_leave,
];

async fn readers_at_once_leave_one_chain(registry: Registry) {
    registry.reads(300).await;
    assert_eq!(registry.rows().await, 300);
}

async fn only_what_shows_somebody_by_name_is_written(registry: Registry) {
    let partner = registry.read(0, DisclosureLevel::Pseudonymised).await.expect("an answer");
    assert_eq!(partner.surname, "");
    let refused = registry.client(0).list_individuals(registry.asked(DisclosureLevel::Identified, Default::default())).await;
    assert_eq!(refused.expect_err("it is refused").code(), Code::Aborted);
    let mut request = registry.asked(DisclosureLevel::Identified, GetIndividualRequest::default());
    request.metadata_mut().insert(access_log::PURPOSE, MetadataValue::try_from("x".repeat(201)).expect("it is text"));
    let refused = registry.client(0).get_individual(request).await.expect_err("that is no purpose");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(registry.rows().await, 0);

    registry.reads(1).await;
    let db = registry.owner().await;
    if db.get_database_backend() == DbBackend::Sqlite {
        let sql = "SELECT a.reader, a.roles, a.rpc, a.purpose, s.message, s.district FROM access_log a \
                   JOIN access_log_subject s ON s.access_id = a.id";
        let rows = db.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.expect("the log");
        let text = |column: &str| rows[0].try_get::<String>("", column).expect("a text");
        assert_eq!(rows.len(), 1);
        assert_eq!(
            ["reader", "roles", "rpc", "purpose", "message", "district"].map(text),
            [
                "somebody",
                "case_worker",
                "/tahuka.registry.v1.IndividualService/GetIndividual",
                "programme work: IndividualService",
                "tahuka.registry.v1.Individual",
                "RW33"
            ]
        );
    }
}

async fn rows_are_not_changed_by_the_house_itself(registry: Registry) {
    registry.reads(2).await;
    for sql in ["UPDATE access_log SET purpose = 'none'", "DELETE FROM access_log_subject", "DELETE FROM access_log_head"] {
        let tx = registry.store().system("somebody who erases traces").await.expect("a transaction");
        assert!(tx.conn().execute_unprepared(sql).await.is_err(), "{sql}");
    }
    let owner = registry.owner().await;
    let refused = owner.execute_unprepared("DELETE FROM access_log").await.expect_err("not the owner by accident either");
    assert!(refused.to_string().contains("only added to"), "{refused}");
    assert_eq!(registry.rows().await, 2);
}

async fn a_changed_row_is_named(registry: Registry) {
    registry.reads(40).await;
    registry.tamper(&["UPDATE access_log SET reader = 'nobody' WHERE seq = 17"]).await;
    assert!(matches!(registry.verdict().await, Verdict::Broken { row: 17, .. }));
}

async fn a_changed_subject_is_named(registry: Registry) {
    registry.reads(40).await;
    registry.tamper(&["DELETE FROM access_log_subject WHERE access_id = (SELECT id FROM access_log WHERE seq = 23)"]).await;
    assert!(matches!(registry.verdict().await, Verdict::Broken { row: 23, .. }));
}

async fn a_removed_row_is_named(registry: Registry) {
    registry.reads(40).await;
    let of_it = "DELETE FROM access_log_subject WHERE access_id = (SELECT id FROM access_log WHERE seq = 9)";
    registry.tamper(&[of_it, "DELETE FROM access_log WHERE seq = 9"]).await;
    assert_eq!(registry.verdict().await, Verdict::Broken { row: 9, why: "is missing" });
}

async fn rows_cut_off_the_end_are_missed(registry: Registry) {
    registry.reads(10).await;
    let of_them = "DELETE FROM access_log_subject WHERE access_id IN (SELECT id FROM access_log WHERE seq > 7)";
    registry.tamper(&[of_them, "DELETE FROM access_log WHERE seq > 7"]).await;
    assert_eq!(registry.verdict().await, Verdict::Broken { row: 8, why: "is missing" });
}

async fn an_inserted_row_is_named(registry: Registry) {
    registry.reads(40).await;
    let columns = "accessed_at, tenant_id, reader, roles, rpc, purpose, trace_id, hash";
    // Room is made at 12: from the end, so that no number is taken twice on the way.
    let room: Vec<_> = (12..=40).rev().map(|seq| format!("UPDATE access_log SET seq = {} WHERE seq = {seq}", seq + 1)).collect();
    let id = ids::new_id();
    let id = if registry.config.database.url.is_some() { format!("'{id}'::uuid") } else { format!("x'{}'", id.simple()) };
    let insert = format!("INSERT INTO access_log (id, seq, {columns}) SELECT {id}, 12, {columns} FROM access_log WHERE seq = 11");
    let sql: Vec<&str> = room.iter().map(String::as_str).chain([insert.as_str()]).collect();
    registry.tamper(&sql).await;
    assert!(matches!(registry.verdict().await, Verdict::Broken { row: 12, .. }));
}

async fn a_chain_made_anew_does_not_hold_the_noted_head(registry: Registry) {
    registry.reads(5).await;
    let Verdict::Whole { head, .. } = registry.verdict().await else { panic!("the chain is whole") };
    registry.reads(5).await;
    let noted = access_log::verify(registry.store(), &head).await.expect("a walk");
    assert!(matches!(noted, Verdict::Whole { rows: 10, .. }));
    let erased = ["DELETE FROM access_log_subject", "DELETE FROM access_log", "UPDATE access_log_head SET seq = 0, hash = ''"];
    registry.tamper(&erased).await;
    registry.reads(10).await;
    assert_eq!(registry.rows().await, 10);
    let noted = access_log::verify(registry.store(), &head).await.expect("a walk");
    assert!(matches!(noted, Verdict::Broken { row: 1, .. }));
}

async fn an_answer_that_cannot_be_written_down_does_not_leave(registry: Registry) {
    registry.tamper(&["DELETE FROM access_log_head"]).await;
    let refused = registry.read(0, DisclosureLevel::Identified).await.expect_err("it is held back");
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(!refused.message().contains("UWIMANA"));
}
