//! What the doors keep out.

use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::household_service_client::HouseholdServiceClient;
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::identity_service_client::IdentityServiceClient;
use tahuka_tests::{Platform, Voice};
use tonic::Code;
use tonic::metadata::MetadataValue;

use crate::programme::Programme;

pub async fn a_call_without_a_good_token_is_refused(platform: Platform) {
    Programme::begin(&platform).await;
    let good = platform.token("iom", "manager");
    let mut parts: Vec<String> = good.split('.').map(str::to_owned).collect();
    let signature = parts.pop().expect("a token has three parts");
    let unsigned = {
        // {"alg":"none"} in the header's place, no signature.
        format!("eyJhbGciOiJub25lIn0.{}.", parts[1])
    };
    let tampered = format!("{}.{}.{}", parts[0], parts[1], signature.chars().rev().collect::<String>());
    let bad = [
        None,
        Some(String::new()),
        Some("not a token".into()),
        Some(unsigned),
        Some(tampered),
        Some(platform.token("nobody", "manager")),
        Some(platform.token("iom", "stranger")),
        Some("x".repeat(20_000)),
        Some(expired(&platform)),
    ];
    for token in bad {
        let voice = Voice::new(platform.channel().await, token);
        let refused = HouseholdServiceClient::new(voice.line())
            .list_households(registry::ListHouseholdsRequest::default())
            .await
            .expect_err("it is refused");
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
        assert_eq!(refused.message(), "authentication failed");
    }
}

fn expired(platform: &Platform) -> String {
    let out = std::process::Command::new(tahuka_tests::binary())
        .args(["token", "--tenant", "iom", "--subject", "manager", "--lifetime=-3600", "--data-dir"])
        .arg(platform.data_dir())
        .output()
        .expect("the binary runs");
    String::from_utf8(out.stdout).expect("a token is text").trim().to_owned()
}

pub async fn an_rpc_without_a_rule_cannot_be_called(platform: Platform) {
    let programme = Programme::begin(&platform).await;
    // Only the gateway itself may resolve identities.
    let refused = IdentityServiceClient::new(programme.iom.line())
        .resolve_identity(tenancy::ResolveIdentityRequest::default())
        .await
        .expect_err("it is refused");
    assert_eq!(refused.code(), Code::PermissionDenied);

    let mut client = tonic::client::Grpc::new(programme.iom.line());
    client.ready().await.expect("the gateway answers");
    let codec = tonic_prost::ProstCodec::<registry::GetHouseholdRequest, registry::GetHouseholdResponse>::default();
    let path = "/tahuka.registry.v1.HouseholdService/DropEverything".parse().expect("a path");
    let refused = client
        .unary(tonic::Request::new(registry::GetHouseholdRequest::default()), path, codec)
        .await
        .expect_err("there is no such RPC");
    assert_eq!(refused.code(), Code::Unimplemented);
}

pub async fn a_passport_of_ones_own_opens_nothing(platform: Platform) {
    Programme::begin(&platform).await;
    let mut request = tonic::Request::new(registry::ListHouseholdsRequest::default());
    request.metadata_mut().insert("x-tahuka-passport", MetadataValue::from_static("eyJhbGciOiJFZERTQSJ9.e30.AAAA"));
    let refused =
        HouseholdServiceClient::new(platform.channel().await).list_households(request).await.expect_err("it is refused");
    assert_eq!(refused.code(), Code::Unauthenticated);
}
