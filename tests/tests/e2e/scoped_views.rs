//! The same household, as each tenant may see it.

use std::time::{Duration, Instant};

use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::agreement_service_client::AgreementServiceClient;
use tahuka_tests::{Platform, Voice, new_request_id};
use tonic::Code;
use tonic_types::StatusExt;

use crate::programme::{MUSANZE, Programme, RUBAVU, on};
use crate::story::eventually;

fn household(programme: &Programme, district: &str, number: &str) -> registry::CreateHouseholdRequest {
    registry::CreateHouseholdRequest {
        request_id: new_request_id(),
        programme_id: programme.id.clone(),
        category: registry::HouseholdCategory::Returnee.into(),
        place: format!("{district}0101"),
        household_number: number.into(),
        household_size: 4,
        registered_on: on(2011, 5, 3),
        registration_source: "a test".into(),
        enumerator: "E-01".into(),
        individuals: vec![registry::NewIndividual {
            surname: "UWIMANA".into(),
            given_name: "Béatrice".into(),
            sex: registry::Sex::Female.into(),
            birth_date: on(1979, 0, 0),
            relation_to_head: registry::RelationToHead::Head.into(),
            ..Default::default()
        }],
    }
}

async fn register(programme: &Programme, district: &str, number: &str) -> String {
    let answer = HouseholdServiceClient::new(programme.iom.line())
        .create_household(household(programme, district, number))
        .await
        .expect("IOM registers a household");
    answer.into_inner().household.expect("and is told of it").id
}

async fn list(voice: &Voice, programme: &Programme) -> Result<Vec<registry::Household>, tonic::Status> {
    let request = registry::ListHouseholdsRequest { programme_id: programme.id.clone(), ..Default::default() };
    Ok(HouseholdServiceClient::new(voice.line()).list_households(request).await?.into_inner().households)
}

/// An agreement takes effect within seconds of its signature.
async fn until_listed(voice: &Voice, programme: &Programme, count: usize) {
    let what = format!("{count} households are listed");
    eventually(&what, || async { list(voice, programme).await.is_ok_and(|seen| seen.len() == count) }).await;
}

pub async fn each_tenant_sees_what_it_is_given(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let rubavu = register(&programme, RUBAVU, "H-1").await;
    let musanze = register(&programme, MUSANZE, "H-2").await;

    let seen = list(&programme.iom, &programme).await.expect("IOM lists households");
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|h| h.head_surname == "UWIMANA"));

    until_listed(&programme.ministry, &programme, 2).await;
    until_listed(&programme.musanze, &programme, 1).await;
    let seen = list(&programme.musanze, &programme).await.expect("the officer of Musanze lists households");
    assert_eq!(seen.iter().map(|h| h.id.as_str()).collect::<Vec<_>>(), [musanze.as_str()]);

    let mut officer = HouseholdServiceClient::new(programme.musanze.line());
    let request = registry::GetHouseholdRequest { household_id: rubavu.clone() };
    let foreign = officer.get_household(request).await.expect_err("a household of Rubavu is not for Musanze");
    let request = registry::GetHouseholdRequest { household_id: new_request_id() };
    let unknown = officer.get_household(request).await.expect_err("there is no such household");
    assert_eq!(foreign.code(), Code::NotFound);
    assert_eq!((foreign.code(), foreign.message()), (unknown.code(), unknown.message()));

    let refused = list(&programme.japan, &programme).await.expect_err("a donor lists nobody");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = HouseholdServiceClient::new(programme.japan.line())
        .create_household(household(&programme, RUBAVU, "H-3"))
        .await
        .expect_err("a donor registers nobody");
    assert_eq!(refused.code(), Code::PermissionDenied);
}

pub async fn a_repeated_request_takes_effect_once(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let mut client = HouseholdServiceClient::new(programme.iom.line());
    let request = household(&programme, RUBAVU, "H-1");
    let first = client.create_household(request.clone()).await.expect("it is registered").into_inner();
    let again = client.create_household(request.clone()).await.expect("the same answer").into_inner();
    assert_eq!(first, again);
    assert_eq!(list(&programme.iom, &programme).await.expect("a list").len(), 1);

    let other = registry::CreateHouseholdRequest { household_size: 5, ..request };
    let refused = client.create_household(other).await.expect_err("the id was used for another body");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.get_details_bad_request().expect("details").field_violations[0].field, "request_id");
}

pub async fn bad_input_names_the_field(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    let mut client = HouseholdServiceClient::new(programme.iom.line());
    let good = household(&programme, RUBAVU, "H-1");
    let cases = [
        ("request_id", registry::CreateHouseholdRequest { request_id: "7".into(), ..good.clone() }),
        ("programme_id", registry::CreateHouseholdRequest { programme_id: "x".into(), ..good.clone() }),
        ("place", registry::CreateHouseholdRequest { place: "Rubavu".into(), ..good.clone() }),
        ("registered_on", registry::CreateHouseholdRequest { registered_on: on(2011, 2, 31), ..good.clone() }),
        ("category", registry::CreateHouseholdRequest { category: 0, ..good.clone() }),
    ];
    for (field, request) in cases {
        let refused = client.create_household(request).await.expect_err("it is refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}: {refused:?}");
        let details = refused.get_details_bad_request().unwrap_or_else(|| panic!("{field}: no details"));
        assert!(details.field_violations.iter().any(|v| v.field == field), "{field}: {details:?}");
        assert!(!refused.message().contains("UWIMANA"));
    }
    assert!(list(&programme.iom, &programme).await.expect("a list").is_empty());
}

pub async fn a_revoked_agreement_ends_the_view(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    register(&programme, RUBAVU, "H-1").await;
    until_listed(&programme.ministry, &programme, 1).await;

    // Somebody who reads all the while.
    let reader = list_until_it_ends(programme.ministry.clone(), programme.id.clone());
    let reader = tokio::spawn(reader);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let request = tenancy::RevokeAgreementRequest {
        request_id: new_request_id(),
        agreement_id: programme.ministry_agreement.clone(),
        revoked_on: on(2012, 1, 1),
    };
    AgreementServiceClient::new(programme.iom.line()).revoke_agreement(request).await.expect("IOM revokes");
    let revoked = Instant::now();
    let (lists, last) = reader.await.expect("the reader's view ends");
    let seconds = last.saturating_duration_since(revoked).as_secs_f64();
    println!(
        "{:?}: a running reader was shown the last of {lists} lists {seconds:.2} s after the agreement was revoked",
        platform.form
    );
    assert!(seconds < 5.0);
    assert!(lists > 2, "the reader was running");
    // And the view stays ended.
    for _ in 0..20 {
        assert!(list(&programme.ministry, &programme).await.map_or(true, |seen| seen.is_empty()));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How many lists the reader was shown, and when the last one came.
async fn list_until_it_ends(reader: Voice, programme_id: String) -> (usize, Instant) {
    let began = Instant::now();
    let (mut lists, mut last) = (0, began);
    loop {
        let request = registry::ListHouseholdsRequest { programme_id: programme_id.clone(), ..Default::default() };
        let answer = HouseholdServiceClient::new(reader.line()).list_households(request).await;
        match answer.map(|answer| answer.into_inner().households.len()) {
            Ok(0) => return (lists, last),
            Ok(_) => (lists, last) = (lists + 1, Instant::now()),
            Err(refused) => {
                assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
                return (lists, last);
            }
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the view does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
