//! The stage is set: tenants, their identity providers and staff, the programme, its agreements, criteria, catalogue,
//! donors, rates and published figures. Each is told by the one whose it is to tell.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tahuka_chassis::Refusal;
use tahuka_proto::assistance::v1 as assistance;
use tahuka_proto::assistance::v1::catalogue_service_client::CatalogueServiceClient;
use tahuka_proto::funding::v1 as funding;
use tahuka_proto::funding::v1::donor_service_client::DonorServiceClient;
use tahuka_proto::funding::v1::exchange_rate_service_client::ExchangeRateServiceClient;
use tahuka_proto::insight::v1 as insight;
use tahuka_proto::insight::v1::published_figure_service_client::PublishedFigureServiceClient;
use tahuka_proto::registry::v1 as registry;
use tahuka_proto::registry::v1::vulnerability_service_client::VulnerabilityServiceClient;
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::agreement_service_client::AgreementServiceClient;
use tahuka_proto::tenancy::v1::programme_service_client::ProgrammeServiceClient;
use tahuka_proto::tenancy::v1::staff_service_client::StaffServiceClient;
use tahuka_proto::tenancy::v1::tenant_service_client::TenantServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use super::files::{Setting, Tenant};
use super::voice::{Voice, ask, code, request_id, told};
use crate::issuer::{AUDIENCE, Issuer};

/// Longer than any demonstration plays.
const LIFETIME: i64 = 12 * 3600;
/// How long the gateway may need to hear of a new issuer.
const FIRST_WORD: Duration = Duration::from_secs(20);

/// Who plays, and what there is to play with.
pub struct Cast {
    pub programme_id: String,
    /// The custodian's programme manager, registration clerk and finance officer.
    pub manager: Voice,
    pub clerk: Voice,
    pub finance: Voice,
    /// The ministry's officer of one district, and the district.
    pub district_officer: Voice,
    pub district: String,
    pub donor_officer: Voice,
    /// Whoever signs for the ministry.
    pub ministry_manager: Voice,
    pub ministry_id: String,
    pub custodian_id: String,
    /// Whom the custodian lets in: the tenant, who signs for it, and the agreement's place in the file.
    pub let_in: Vec<(String, Voice, usize)>,
    /// By kind and item: the package's id and its place in the catalogue file.
    pub packages: HashMap<(String, String), (String, usize)>,
    /// By slug.
    pub donors: HashMap<String, String>,
}

/// The door and the keys to it.
pub struct Doorway {
    pub channel: Channel,
    pub issuer: Issuer,
}

impl Doorway {
    pub fn voice(&self, tenant: &str, subject: &str) -> Result<Voice, Refusal> {
        let token = self.issuer.token(tenant, subject, LIFETIME)?;
        Voice::new(self.channel.clone(), format!("{tenant}/{subject}"), &token)
    }

    /// The first of the tenant's staff with one of these roles, the first role before the next.
    fn of_role(&self, tenant: &Tenant, roles: &[&str]) -> Result<Voice, Refusal> {
        let member = roles.iter().find_map(|role| tenant.staff.iter().find(|member| member.roles.iter().any(|r| r == role)));
        let member =
            member.ok_or_else(|| missing(format!("a member of {}'s staff with the role {}", tenant.slug, roles.join(" or "))))?;
        self.voice(&tenant.slug, &member.subject)
    }
}

fn missing(what: String) -> Refusal {
    Refusal::precondition("PROGRAMME_FILE", format!("programme.toml: the demonstration needs {what}"))
}

pub async fn set(door: &Doorway, setting: &Setting) -> Result<Cast, Refusal> {
    let tenants = tenants(door, setting).await?;
    let of_kind = |kind: tenancy::TenantKind| {
        let found = setting.tenants.iter().find(|t| t.kind.0 == kind);
        found.ok_or_else(|| {
            missing(format!("a tenant of kind {}", kind.as_str_name().trim_start_matches("TENANT_KIND_").to_lowercase()))
        })
    };
    let custodian = of_kind(tenancy::TenantKind::Operator)?;
    let ministry = of_kind(tenancy::TenantKind::Ministry)?;
    let donor = of_kind(tenancy::TenantKind::Donor)?;
    let local = ministry.staff.iter().find(|m| m.roles.iter().any(|r| r == "district_officer") && !m.districts.is_empty());
    let local = local.ok_or_else(|| missing("a district officer of the ministry, with a district".into()))?;
    let manager = door.of_role(custodian, &["programme_manager"])?;
    let mut cast = Cast {
        programme_id: String::new(),
        clerk: door.of_role(custodian, &["registration_clerk", "programme_manager"])?,
        finance: door.of_role(custodian, &["finance_officer", "programme_manager"])?,
        district_officer: door.voice(&ministry.slug, &local.subject)?,
        district: local.districts.first().cloned().unwrap_or_default(),
        donor_officer: door.of_role(donor, &["donor_officer"])?,
        ministry_manager: door.of_role(ministry, &["programme_manager"])?,
        ministry_id: tenants.get(&ministry.slug).cloned().unwrap_or_default(),
        custodian_id: tenants.get(&custodian.slug).cloned().unwrap_or_default(),
        let_in: Vec::new(),
        packages: HashMap::new(),
        donors: HashMap::new(),
        manager,
    };
    for voice in [&cast.manager, &cast.clerk, &cast.finance, &cast.district_officer, &cast.donor_officer, &cast.ministry_manager]
    {
        first_word(voice).await?;
    }
    cast.programme_id = programme(&cast.manager, setting).await?;
    cast.let_in = agreements(door, setting, &cast, &tenants).await?;
    criteria(&cast, setting).await?;
    catalogue(&mut cast, setting).await?;
    donors(&mut cast, setting, &tenants).await?;
    published(&cast, setting).await?;
    Ok(cast)
}

/// Refuses a platform on which somebody lives already.
async fn must_be_empty(operator: &Voice) -> Result<(), Refusal> {
    let request = tenancy::ListTenantsRequest { page_size: 10, ..Default::default() };
    let tenants = ask!(operator, TenantServiceClient.list_tenants(request))?.tenants;
    if tenants.iter().all(|t| t.kind() == tenancy::TenantKind::Platform) {
        return Ok(());
    }
    let advice = "the database already has tenants; give the demonstration an empty database or data directory";
    Err(Refusal::precondition("NOT_EMPTY", advice))
}

/// By slug.
async fn tenants(door: &Doorway, setting: &Setting) -> Result<HashMap<String, String>, Refusal> {
    let operator = door.voice("platform", "operator")?;
    must_be_empty(&operator).await?;
    let jwks_json = door.issuer.jwks_json()?;
    let mut ids = HashMap::new();
    for tenant in &setting.tenants {
        let request = tenancy::CreateTenantRequest {
            request_id: request_id(),
            name: tenant.name.clone(),
            kind: tenant.kind.0.into(),
            slug: tenant.slug.clone(),
        };
        let id = told(ask!(operator, TenantServiceClient.create_tenant(request))?.tenant, "tenant")?.id;
        let request = tenancy::AddIdentityProviderRequest {
            request_id: request_id(),
            tenant_id: id.clone(),
            issuer: door.issuer.url(&tenant.slug),
            audience: AUDIENCE.into(),
            jwks_json: jwks_json.clone(),
            algorithms: vec!["EdDSA".into()],
            ..Default::default()
        };
        ask!(operator, TenantServiceClient.add_identity_provider(request))?;
        for member in &tenant.staff {
            let request = tenancy::AddStaffMemberRequest {
                request_id: request_id(),
                tenant_id: id.clone(),
                subject: member.subject.clone(),
                roles: member.roles.clone(),
                districts: member.districts.clone(),
                ..Default::default()
            };
            ask!(operator, StaffServiceClient.add_staff_member(request))?;
        }
        ids.insert(tenant.slug.clone(), id);
    }
    Ok(ids)
}

/// Waits until the gateway knows the tenant's issuer: it asks for new ones once a second at most.
async fn first_word(voice: &Voice) -> Result<(), Refusal> {
    let until = Instant::now() + FIRST_WORD;
    loop {
        match ask!(voice, ProgrammeServiceClient.list_programmes(tenancy::ListProgrammesRequest::default())) {
            Err(refusal) if code(&refusal) == Some(Code::Unauthenticated) && Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            other => return other.map(|_| ()),
        }
    }
}

async fn programme(manager: &Voice, setting: &Setting) -> Result<String, Refusal> {
    let districts = setting.districts.iter().map(|district| tenancy::ProgrammeDistrict {
        pcode: district.pcode.clone(),
        name: district.name.clone(),
        basis: district.basis.0.into(),
        source: district.source.clone(),
    });
    let request = tenancy::CreateProgrammeRequest {
        request_id: request_id(),
        name: setting.programme.name.clone(),
        starts_on: setting.programme.starts_on.proto(),
        ends_on: setting.programme.ends_on.proto(),
        districts: districts.collect(),
    };
    Ok(told(ask!(manager, ProgrammeServiceClient.create_programme(request))?.programme, "programme")?.id)
}

/// Proposed by the custodian, signed by the other.
async fn agreements(
    door: &Doorway,
    setting: &Setting,
    cast: &Cast,
    tenants: &HashMap<String, String>,
) -> Result<Vec<(String, Voice, usize)>, Refusal> {
    let mut let_in = Vec::new();
    for (at, agreement) in setting.agreements.iter().enumerate() {
        let recipient = setting.tenants.iter().find(|t| t.slug == agreement.recipient);
        let recipient = recipient.ok_or_else(|| missing(format!("the tenant {}", agreement.recipient)))?;
        let signer = door.of_role(recipient, &["programme_manager", "donor_officer"])?;
        let recipient_id = tenants.get(&agreement.recipient).cloned().unwrap_or_default();
        let request = tenancy::ProposeAgreementRequest {
            request_id: request_id(),
            programme_id: cast.programme_id.clone(),
            recipient_id: recipient_id.clone(),
            terms: agreement.terms(),
            starts_on: agreement.starts_on.proto(),
            ends_on: agreement.ends_on.proto(),
            purpose: agreement.purpose.clone(),
            proposed_on: agreement.signed_on.proto(),
        };
        let id = told(ask!(cast.manager, AgreementServiceClient.propose_agreement(request))?.agreement, "agreement")?.id;
        first_word(&signer).await?;
        let request = tenancy::SignAgreementRequest {
            request_id: request_id(),
            agreement_id: id,
            signed_on: agreement.signed_on.proto(),
            revision: 1,
        };
        ask!(signer, AgreementServiceClient.sign_agreement(request))?;
        let_in.push((recipient_id, signer, at));
    }
    Ok(let_in)
}

async fn criteria(cast: &Cast, setting: &Setting) -> Result<(), Refusal> {
    let set = &setting.criteria;
    let criteria = set.criteria.iter().map(|criterion| registry::Criterion {
        code: criterion.code.clone(),
        weight: criterion.weight,
        label: criterion.label.clone(),
    });
    let request = registry::CreateCriteriaSetRequest {
        request_id: request_id(),
        programme_id: cast.programme_id.clone(),
        name: set.name.clone(),
        effective_on: set.effective_on.proto(),
        criteria: criteria.collect(),
        band_floors: set.band_floors.clone(),
    };
    ask!(cast.manager, VulnerabilityServiceClient.create_criteria_set(request))?;
    Ok(())
}

async fn catalogue(cast: &mut Cast, setting: &Setting) -> Result<(), Refusal> {
    for (at, package) in setting.packages.iter().enumerate() {
        let items = package.items.iter().map(|item| assistance::PackageItem {
            name: item.name.clone(),
            quantity: item.quantity,
            unit: item.unit.clone(),
        });
        let request = assistance::CreatePackageRequest {
            request_id: request_id(),
            programme_id: cast.programme_id.clone(),
            code: package.code.clone(),
            kind: package.kind.0.into(),
            item: package.item.clone(),
            name: package.name.clone(),
            items: items.collect(),
            unit_cost: package.unit_cost.proto(),
            conditions: Some(assistance::PackageConditions {
                categories: package.conditions.categories.clone(),
                age_bands: package.conditions.age_bands.clone(),
                least_priority_band: package.conditions.least_priority_band,
            }),
        };
        let id = told(ask!(cast.manager, CatalogueServiceClient.create_package(request))?.package, "package")?.id;
        let kind = package.kind.0.as_str_name().trim_start_matches("ASSISTANCE_KIND_").to_ascii_lowercase();
        cast.packages.insert((kind, package.item.clone()), (id, at));
    }
    Ok(())
}

async fn donors(cast: &mut Cast, setting: &Setting, tenants: &HashMap<String, String>) -> Result<(), Refusal> {
    for donor in &setting.donors {
        let request = funding::CreateDonorRequest {
            request_id: request_id(),
            name: donor.name.clone(),
            tenant_id: tenants.get(&donor.tenant).cloned().unwrap_or_default(),
            country: donor.country.clone(),
        };
        let id = told(ask!(cast.finance, DonorServiceClient.create_donor(request))?.donor, "donor")?.id;
        cast.donors.insert(donor.slug.clone(), id);
    }
    for rate in &setting.exchange_rates {
        let request = funding::CreateExchangeRateRequest {
            request_id: request_id(),
            base: rate.base.clone(),
            quote: rate.quote.clone(),
            rate: rate.rate.clone(),
            valid_on: rate.valid_on.proto(),
            source: rate.source.clone(),
        };
        ask!(cast.finance, ExchangeRateServiceClient.create_exchange_rate(request))?;
    }
    Ok(())
}

async fn published(cast: &Cast, setting: &Setting) -> Result<(), Refusal> {
    for figure in &setting.published_figures {
        let request = insight::CreatePublishedFigureRequest {
            request_id: request_id(),
            programme_id: cast.programme_id.clone(),
            code: figure.code.clone(),
            value: figure.value,
            text: figure.text.clone(),
            source: figure.source.clone(),
            published_on: figure.published_on.and_then(super::files::values::Day::proto),
        };
        ask!(cast.manager, PublishedFigureServiceClient.create_published_figure(request))?;
    }
    Ok(())
}
