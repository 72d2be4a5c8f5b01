//! The edge of the catalogue.

use tahuka_chassis::{Caller, Once, Page, Refusal, Store, clock, edge, ids};
use tahuka_proto::assistance::v1::catalogue_service_server::CatalogueService;
use tahuka_proto::assistance::v1::*;
use tonic::{Request, Response, Status};

use super::store::{self, Filter, Model};
use super::{AGE_BANDS, Category, Conditions, HIGHEST_BAND, Item, Kind, MOST_OF_AN_ITEM};

const MOST_ITEMS: usize = 100;

pub struct Catalogue {
    pub store: Store,
}

#[tonic::async_trait]
impl CatalogueService for Catalogue {
    async fn create_package(&self, request: Request<CreatePackageRequest>) -> Result<Response<CreatePackageResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let package = package(&caller, &request)?;

        let tx = match self.store.begin_once(&caller, "CreatePackage", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        tx.require_write(package.custodian_id, None)?;
        store::insert(&tx, package.clone()).await?;
        let answer = CreatePackageResponse { package: Some(shown(&package)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_package(&self, request: Request<GetPackageRequest>) -> Result<Response<GetPackageResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("package_id", &request.package_id)?;
        let tx = self.store.read(&caller).await?;
        let package = shown(&store::get(&tx, id).await?)?;
        Ok(Response::new(GetPackageResponse { package: Some(package) }))
    }

    async fn list_packages(&self, request: Request<ListPackagesRequest>) -> Result<Response<ListPackagesResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let filter = Filter {
            programme_id: edge::optional_uuid("programme_id", &request.programme_id)?,
            kind: optional_kind("kind", request.kind)?,
        };
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("packages {filter:?}"))?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, &filter, &page).await?, |row| row.id);
        let packages = rows.iter().map(shown).collect::<Result<_, _>>()?;
        Ok(Response::new(ListPackagesResponse { packages, next_page_token }))
    }

    async fn retire_package(&self, request: Request<RetirePackageRequest>) -> Result<Response<RetirePackageResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("package_id", &request.package_id)?;

        let tx = match self.store.begin_once(&caller, "RetirePackage", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let package = store::get_for_write(&tx, id).await?;
        edge::etag("etag", &request.etag, package.version)?;
        if package.retired {
            return Err(Refusal::precondition("PACKAGE_RETIRED", "the package is retired already").into());
        }
        let answer = RetirePackageResponse { package: Some(shown(&store::retire(&tx, package).await?)?) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }
}

pub fn kind(field: &str, told: i32) -> Result<Kind, Refusal> {
    Kind::numbered(told).ok_or_else(|| Refusal::invalid(field, "must be a kind of assistance"))
}

/// None for an unspecified one.
pub fn optional_kind(field: &str, told: i32) -> Result<Option<Kind>, Refusal> {
    if told == 0 { Ok(None) } else { kind(field, told).map(Some) }
}

/// A package in the custody of whoever makes it.
fn package(caller: &Caller, request: &CreatePackageRequest) -> Result<Model, Refusal> {
    if !(1..=MOST_ITEMS).contains(&request.items.len()) {
        return Err(Refusal::invalid("items", format!("must hold 1 to {MOST_ITEMS} items")));
    }
    let items = request.items.iter().enumerate().map(|(n, told)| item(n, told)).collect::<Result<Vec<_>, _>>()?;
    let conditions = conditions(request.conditions.as_ref())?;
    let categories: Vec<_> = conditions.categories.iter().map(|c| c.word()).collect();
    let cost = edge::positive_money("unit_cost", request.unit_cost.as_ref())?;
    Ok(Model {
        id: ids::new_id(),
        programme_id: edge::uuid("programme_id", &request.programme_id)?,
        custodian_id: caller.tenant_id,
        code: edge::text("code", &request.code, 100)?,
        kind: kind("kind", request.kind)?.word().to_owned(),
        item: edge::text("item", &request.item, 100)?,
        name: edge::text("name", &request.name, 200)?,
        items: serde_json::to_value(items).map_err(Refusal::internal)?,
        cost_minor: cost.minor,
        cost_currency: cost.currency.as_str().to_owned(),
        categories: serde_json::to_value(categories).map_err(Refusal::internal)?,
        age_bands: serde_json::to_value(conditions.age_bands).map_err(Refusal::internal)?,
        least_priority_band: conditions.least_priority_band,
        retired: false,
        version: 1,
        recorded_at: clock::now(),
    })
}

fn item(n: usize, told: &PackageItem) -> Result<Item, Refusal> {
    let field = |name: &str| format!("items[{n}].{name}");
    if !(1..=MOST_OF_AN_ITEM).contains(&told.quantity) {
        return Err(Refusal::invalid(field("quantity"), format!("must be 1 to {MOST_OF_AN_ITEM}")));
    }
    Ok(Item {
        name: edge::text(&field("name"), &told.name, 200)?,
        quantity: told.quantity,
        unit: edge::text(&field("unit"), &told.unit, 50)?,
    })
}

fn conditions(told: Option<&PackageConditions>) -> Result<Conditions, Refusal> {
    let Some(told) = told else { return Ok(Conditions::default()) };
    let category = |(n, word): (usize, &String)| {
        let field = format!("conditions.categories[{n}]");
        Category::parse(word).ok_or_else(|| Refusal::invalid(field, "must be returnee or host_community"))
    };
    let age_band = |(n, word): (usize, &String)| {
        let known = AGE_BANDS.contains(&word.as_str()).then(|| word.clone());
        known.ok_or_else(|| Refusal::invalid(format!("conditions.age_bands[{n}]"), "must be an age band of the registry"))
    };
    if !(0..=HIGHEST_BAND).contains(&told.least_priority_band) {
        return Err(Refusal::invalid("conditions.least_priority_band", format!("must be 0 to {HIGHEST_BAND}")));
    }
    Ok(Conditions {
        categories: told.categories.iter().enumerate().map(category).collect::<Result<_, _>>()?,
        age_bands: told.age_bands.iter().enumerate().map(age_band).collect::<Result<_, _>>()?,
        least_priority_band: told.least_priority_band,
    })
}

/// Whoever sees a package sees all of it: it says nothing of a person.
fn shown(row: &Model) -> Result<Package, Refusal> {
    let conditions = row.conditions()?;
    let item = |item: Item| PackageItem { name: item.name, quantity: item.quantity, unit: item.unit };
    Ok(Package {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        code: row.code.clone(),
        kind: Kind::number_of(&row.kind),
        item: row.item.clone(),
        name: row.name.clone(),
        items: row.items()?.into_iter().map(item).collect(),
        unit_cost: edge::stored_money(row.cost_minor, &row.cost_currency),
        conditions: Some(PackageConditions {
            categories: conditions.categories.iter().map(|c| c.word().to_owned()).collect(),
            age_bands: conditions.age_bands,
            least_priority_band: conditions.least_priority_band,
        }),
        retired: row.retired,
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    })
}
