//! The uninteresting part of a story: three tenants, their staff, a programme and its agreements.

use tahuka_proto::google::r#type::Date;
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::agreement_service_client::AgreementServiceClient;
use tahuka_proto::tenancy::v1::programme_service_client::ProgrammeServiceClient;
use tahuka_proto::tenancy::v1::staff_service_client::StaffServiceClient;
use tahuka_proto::tenancy::v1::tenant_service_client::TenantServiceClient;
use tahuka_tests::{Platform, Voice, new_request_id};

pub const MUSANZE: &str = "RW43";
pub const RUBAVU: &str = "RW33";

pub struct Programme {
    pub id: String,
    pub iom: Voice,
    pub ministry: Voice,
    /// The ministry's officer of Musanze.
    pub musanze: Voice,
    pub japan: Voice,
    pub ministry_agreement: String,
    pub japan_id: String,
}

pub fn on(year: i32, month: i32, day: i32) -> Option<Date> {
    Some(Date { year, month, day })
}

impl Programme {
    pub async fn begin(platform: &Platform) -> Programme {
        let ids = [
            tenant(platform, "iom", tenancy::TenantKind::Operator, &[("manager", "programme_manager", "")]).await,
            tenant(
                platform,
                "midimar",
                tenancy::TenantKind::Ministry,
                &[("manager", "programme_manager", ""), ("musanze", "district_officer", MUSANZE)],
            )
            .await,
            tenant(platform, "japan", tenancy::TenantKind::Donor, &[("officer", "donor_officer", "")]).await,
        ];
        let iom = platform.as_("iom", "manager").await;
        let ministry = platform.as_("midimar", "manager").await;
        let musanze = platform.as_("midimar", "musanze").await;
        let japan = platform.as_("japan", "officer").await;

        let request = tenancy::CreateProgrammeRequest {
            request_id: new_request_id(),
            name: "Reintegration of returnees".into(),
            starts_on: on(2010, 9, 1),
            ends_on: on(2014, 12, 31),
            districts: [(MUSANZE, "Musanze"), (RUBAVU, "Rubavu")]
                .map(|(pcode, name)| tenancy::ProgrammeDistrict {
                    pcode: pcode.into(),
                    name: name.into(),
                    basis: tenancy::DistrictBasis::Attested.into(),
                    source: "a test".into(),
                })
                .to_vec(),
        };
        let mut programmes = ProgrammeServiceClient::new(iom.line());
        let id = programmes.create_programme(request).await.expect("a programme").into_inner().programme.expect("is told").id;

        use DataCategory::{Assistance, Funding, Projects, Registration, Reporting};
        let ministry_agreement =
            agree(&id, &iom, &ministry, &ids[1], &[Registration, Assistance, Projects], DisclosureLevel::Identified).await;
        agree(&id, &iom, &japan, &ids[2], &[Funding, Reporting, Projects], DisclosureLevel::Aggregate).await;
        Programme { id, iom, ministry, musanze, japan, ministry_agreement, japan_id: ids[2].clone() }
    }
}

/// A tenant with its issuer and its staff (subject, role and district, which may be empty); its id.
pub async fn tenant(platform: &Platform, slug: &str, kind: tenancy::TenantKind, members: &[(&str, &str, &str)]) -> String {
    let operator = platform.as_("platform", "operator").await;
    let mut tenants = TenantServiceClient::new(operator.line());
    let request = tenancy::CreateTenantRequest {
        request_id: new_request_id(),
        name: slug.to_uppercase(),
        kind: kind.into(),
        slug: platform.slug(slug),
    };
    let tenant = tenants.create_tenant(request).await.expect("a tenant is made").into_inner().tenant.expect("and told");
    let provider = tenancy::AddIdentityProviderRequest {
        request_id: new_request_id(),
        tenant_id: tenant.id.clone(),
        issuer: format!("https://demo.tahuka.invalid/{}", platform.slug(slug)),
        audience: "tahuka".into(),
        jwks_json: platform.key_set(),
        algorithms: vec!["EdDSA".into()],
        ..Default::default()
    };
    tenants.add_identity_provider(provider).await.expect("its issuer is known");
    for (subject, role, district) in members {
        let member = tenancy::AddStaffMemberRequest {
            request_id: new_request_id(),
            tenant_id: tenant.id.clone(),
            subject: (*subject).into(),
            roles: vec![(*role).into()],
            districts: Some((*district).to_owned()).filter(|d| !d.is_empty()).into_iter().collect(),
            ..Default::default()
        };
        let mut staff = StaffServiceClient::new(operator.line());
        staff.add_staff_member(member).await.expect("a member of staff is known");
    }
    tenant.id
}

/// An agreement that both have signed; its id.
pub async fn agree(
    programme: &str,
    custodian: &Voice,
    recipient: &Voice,
    recipient_id: &str,
    categories: &[DataCategory],
    level: DisclosureLevel,
) -> String {
    let terms = categories
        .iter()
        .map(|category| tenancy::AgreementTerm {
            category: (*category).into(),
            level: level.into(),
            districts: vec![],
            write: false,
            grants: vec![],
        })
        .collect();
    let request = tenancy::ProposeAgreementRequest {
        request_id: new_request_id(),
        programme_id: programme.into(),
        recipient_id: recipient_id.into(),
        terms,
        starts_on: on(2010, 9, 1),
        ends_on: on(2099, 12, 31),
        purpose: "the programme".into(),
        proposed_on: on(2010, 9, 1),
    };
    let mut agreements = AgreementServiceClient::new(custodian.line());
    let id = agreements.propose_agreement(request).await.expect("a proposal").into_inner().agreement.expect("is told").id;
    let request = tenancy::SignAgreementRequest {
        request_id: new_request_id(),
        agreement_id: id.clone(),
        signed_on: on(2010, 9, 2),
        revision: 1,
    };
    AgreementServiceClient::new(recipient.line()).sign_agreement(request).await.expect("both have signed");
    id
}
