//! Registrations for households that are being handed over: kept, and registered for whoever has the household then.

use tahuka_chassis::House;
use tahuka_proto::EventMessage;
use tahuka_proto::handover::v1::*;
use tonic_types::StatusExt as _;

use super::*;

struct Handover {
    registry: Registry,
    ministry: Caller,
    tranche: Uuid,
    house: House,
}

impl Handover {
    /// The registry as it is served, so that it hears of tranches.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        config.server.drain_seconds = 0;
        let house = House::start(vec![crate::service()], Arc::new(config)).await.unwrap();
        let store = house.stores[0].1.clone();
        let (own, other) = (ids::new_id(), ids::new_id());
        let operator = caller(own, own, DisclosureLevel::Identified, &[], true);
        let ministry = caller(other, other, DisclosureLevel::Identified, &[], true);
        let registry = Registry { store, programme: ids::new_id(), operator, _dir: dir };
        Handover { registry, ministry, tranche: ids::new_id(), house }
    }

    async fn tell<M: EventMessage>(&self, event: &M) {
        let mut tx = self.registry.store.system("test").await.unwrap();
        tx.publish(self.registry.operator.tenant_id, self.tranche, event).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn seal(&self) {
        let event = TrancheSealRequested {
            tranche_id: self.tranche.to_string(),
            programme_id: self.registry.programme.to_string(),
            sender_id: self.registry.operator.tenant_id.to_string(),
            recipient_id: self.ministry.tenant_id.to_string(),
            districts: vec!["RW33".into()],
            ..Default::default()
        };
        self.tell(&event).await;
        self.until(SliceSealed::KIND).await;
    }

    async fn until(&self, kind: &str) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.count(&format!("SELECT count(*) FROM journal WHERE kind = '{kind}'")).await == 0 {
            assert!(Instant::now() < until, "{kind} is not told");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn count(&self, sql: &str) -> i64 {
        use sea_orm::{ConnectionTrait as _, Statement};
        let tx = self.registry.store.system("test").await.unwrap();
        let statement = Statement::from_string(tx.conn().get_database_backend(), sql);
        tx.conn().query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    }

    async fn held(&self) -> Vec<HeldSubmission> {
        let request = ListHeldSubmissionsRequest { programme_id: self.registry.programme.to_string(), ..Default::default() };
        let imports = Imports { store: self.registry.store.clone() };
        imports.list_held_submissions(asked(&self.registry.operator, request)).await.unwrap().into_inner().submissions
    }

    async fn until_none_waits(&self) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.held().await.iter().any(|row| row.state() == HeldState::Waiting) {
            assert!(Instant::now() < until, "a row still waits");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_row_for_a_sealed_household_waits_for_its_new_custodian() {
    let handover = Handover::new().await;
    let registry = &handover.registry;
    registry.criteria().await;
    registry.import(ids::new_id(), &file(&[row("s1", "H1", &[("relation_to_head", "head")])])).await;
    handover.seal().await;

    let text = file(&[
        row("s1", "H1", &[("relation_to_head", "head")]),
        row("s2", "H1", &[("given_name", "Béatrice")]),
        row("s3", "H1", &[("relation_to_head", "head")]),
        row("s4", "H9", &[("district_pcode", "RW31"), ("cell_pcode", "RW310101")]),
    ]);
    let request_id = ids::new_id();
    let import = registry.import(request_id, &text).await;
    // The second head is told of at once: the row would be refused after the handover, too.
    assert_eq!((import.rows, import.accepted, import.repeated, import.rejected, import.held), (4, 1, 1, 1, 1), "{import:?}");
    let again = registry.import(ids::new_id(), &text).await;
    assert_eq!((again.accepted, again.repeated, again.held), (0, 3, 0), "{again:?}");
    let held = handover.held().await;
    assert_eq!(held.len(), 1);
    assert_eq!((held[0].row, held[0].state(), held[0].tranche_id.clone()), (3, HeldState::Waiting, handover.tranche.to_string()));
    assert_eq!(registry.people(&registry.operator, |_| ()).await.len(), 2);

    // Whoever writes by hand is refused, with the tranche.
    let homes = registry.homes(&registry.operator).await;
    let home = homes.iter().find(|home| home.household_number == "H1").unwrap();
    let request = UpdateHouseholdRequest {
        request_id: ids::new_id().to_string(),
        household: Some(Household { household_size: 9, ..home.clone() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["household_size".into()] }),
    };
    let households = Households { store: registry.store.clone() };
    let refused = households.update_household(asked(&registry.operator, request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let info = refused.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.metadata["tranche_id"].clone()), ("RECORD_SEALED", handover.tranche.to_string()));

    // The recipient has a household of the same number already; both keep theirs.
    let ministry = Registry {
        store: registry.store.clone(),
        programme: registry.programme,
        operator: handover.ministry.clone(),
        _dir: tempfile::tempdir().unwrap(),
    };
    let own = ministry.import(ids::new_id(), &file(&[row("m1", "H1", &[("given_name", "Claudine")])])).await;
    assert_eq!(own.accepted, 1);

    let transfer = TrancheTransferRequested {
        tranche_id: handover.tranche.to_string(),
        recipient_id: handover.ministry.tenant_id.to_string(),
        ..Default::default()
    };
    handover.tell(&transfer).await;
    handover.until(SliceTransferred::KIND).await;
    handover.tell(&TrancheClosed { tranche_id: handover.tranche.to_string(), ..Default::default() }).await;
    handover.until_none_waits().await;
    assert_eq!(handover.held().await[0].state(), HeldState::Registered);
    assert!(handover.held().await[0].settled_at.is_some());

    let theirs = registry.people(&handover.ministry, |_| ()).await;
    let mut names: Vec<_> = theirs.iter().map(|person| person.given_name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Alice", "Béatrice", "Claudine"]);
    let numbers: Vec<_> = registry.homes(&handover.ministry).await.into_iter().map(|home| home.household_number).collect();
    assert_eq!(numbers, ["H1", "H1"]);
    assert_eq!(registry.people(&registry.operator, |_| ()).await.len(), 1, "what is in another district stays");
    let told = "SELECT count(*) FROM journal WHERE kind = 'tahuka.registry.v1.IndividualRegistered' AND custodian_id = ";
    let id = handover.ministry.tenant_id.simple();
    assert_eq!(handover.count(&format!("{told}x'{id}'")).await, 2, "told in the new custodian's name");

    // Whoever sends the file again, nobody is registered twice.
    let sent = file(&[
        row("s1", "H1", &[("relation_to_head", "head")]),
        row("s2", "H1", &[("given_name", "Béatrice")]),
        row("s4", "H9", &[("district_pcode", "RW31"), ("cell_pcode", "RW310101")]),
    ]);
    let repeated = registry.import(ids::new_id(), &sent).await;
    assert_eq!((repeated.accepted, repeated.repeated), (0, 3), "{repeated:?}");
    let first_two = file(&[row("s1", "H1", &[("relation_to_head", "head")]), row("s2", "H1", &[])]);
    let theirs = ministry.import(ids::new_id(), &first_two).await;
    assert_eq!((theirs.accepted, theirs.repeated), (0, 2), "{theirs:?}");
    handover.house.stop().await;
}
