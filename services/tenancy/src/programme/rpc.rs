//! The edge of programmes.

use tahuka_chassis::{Caller, Once, Page, Refusal, Store, edge, ids};
use tahuka_proto::tenancy::v1::programme_service_server::{ProgrammeService, ProgrammeServiceServer};
use tahuka_proto::tenancy::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use super::{Basis, District, Programme, Time, distinct, store};

pub fn server(store: Store) -> ProgrammeServiceServer<Programmes> {
    ProgrammeServiceServer::new(Programmes { store })
}

pub struct Programmes {
    store: Store,
}

#[tonic::async_trait]
impl ProgrammeService for Programmes {
    async fn create_programme(
        &self,
        request: Request<CreateProgrammeRequest>,
    ) -> Result<Response<CreateProgrammeResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let starts_on = edge::date("starts_on", request.starts_on.as_ref())?;
        let ends_on = edge::date("ends_on", request.ends_on.as_ref())?;
        let districts = request.districts.iter().enumerate().map(|(i, d)| district(i, d)).collect::<Result<_, _>>()?;
        let programme = Programme {
            id: ids::new_id(),
            custodian_id: caller.tenant_id,
            name: edge::text("name", &request.name, 200)?,
            time: Time::new(starts_on, ends_on)?,
            districts: distinct(districts)?,
        };

        let mut tx = match self.store.begin_once(&caller, "CreateProgramme", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::insert(&tx, &programme).await?;
        tx.publish(programme.custodian_id, programme.id, &created(&programme)).await?;
        let answer = CreateProgrammeResponse { programme: Some(shown(&row)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_programme(&self, request: Request<GetProgrammeRequest>) -> Result<Response<GetProgrammeResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("programme_id", &request.programme_id)?;
        let tx = self.store.read(&caller).await?;
        let programme = shown(&store::get(&tx, id).await?)?;
        Ok(Response::new(GetProgrammeResponse { programme: Some(programme) }))
    }

    async fn list_programmes(&self, request: Request<ListProgrammesRequest>) -> Result<Response<ListProgrammesResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, "programmes")?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, &page).await?, |row| row.id);
        let programmes = rows.iter().map(shown).collect::<Result<_, _>>()?;
        Ok(Response::new(ListProgrammesResponse { programmes, next_page_token }))
    }
}

fn district(i: usize, told: &ProgrammeDistrict) -> Result<District, Refusal> {
    let field = |name: &str| format!("districts[{i}].{name}");
    let basis = match DistrictBasis::try_from(told.basis) {
        Ok(DistrictBasis::Attested) => Basis::Attested,
        Ok(DistrictBasis::Assumed) => Basis::Assumed,
        _ => return Err(Refusal::invalid(field("basis"), "must be attested or assumed")),
    };
    Ok(District {
        pcode: edge::district(&field("pcode"), &told.pcode)?,
        name: edge::text(&field("name"), &told.name, 100)?,
        basis,
        source: edge::text(&field("source"), &told.source, 500)?,
    })
}

fn created(programme: &Programme) -> ProgrammeCreated {
    ProgrammeCreated {
        programme_id: programme.id.to_string(),
        name: programme.name.clone(),
        starts_on: Some(edge::to_date(programme.time.starts_on)),
        ends_on: Some(edge::to_date(programme.time.ends_on)),
        districts: programme.districts.iter().map(|d| d.pcode.clone()).collect(),
    }
}

fn shown(row: &store::Model) -> Result<proto::Programme, Refusal> {
    let programme = row.programme()?;
    let district = |d: District| ProgrammeDistrict {
        pcode: d.pcode,
        name: d.name,
        basis: match d.basis {
            Basis::Attested => DistrictBasis::Attested.into(),
            Basis::Assumed => DistrictBasis::Assumed.into(),
        },
        source: d.source,
    };
    Ok(proto::Programme {
        id: programme.id.to_string(),
        custodian_id: programme.custodian_id.to_string(),
        name: programme.name,
        starts_on: Some(edge::to_date(programme.time.starts_on)),
        ends_on: Some(edge::to_date(programme.time.ends_on)),
        districts: programme.districts.into_iter().map(district).collect(),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    })
}
