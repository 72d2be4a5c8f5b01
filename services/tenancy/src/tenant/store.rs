//! Tenants and their identity providers on disk. Rows of the platform: who may reach them is the
//! access rules' matter.

use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect};
use tahuka_chassis::page::keyset;
use tahuka_chassis::{Page, Refusal, TenantKind, Tx, clock, taken};

use super::identity_provider::{Algorithm, ClaimMapping, IdentityProvider, Keys};
use super::{Slug, State, Tenant, kind_name, kind_named};
use crate::edge::unknown;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tenant")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub kind: String,
    pub slug: String,
    pub state: String,
    pub version: i64,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub fn kind(&self) -> Result<TenantKind, Refusal> {
        kind_named(&self.kind).ok_or_else(|| unknown("tenant.kind"))
    }

    pub fn state(&self) -> Result<State, Refusal> {
        State::parse(&self.state).ok_or_else(|| unknown("tenant.state"))
    }
}

pub async fn insert(tx: &Tx, tenant: Tenant) -> Result<Model, Refusal> {
    let row = Model {
        id: tenant.id,
        name: tenant.name,
        kind: kind_name(tenant.kind).to_owned(),
        slug: tenant.slug.as_str().to_owned(),
        state: tenant.state.as_str().to_owned(),
        version: 1,
        recorded_at: clock::now(),
    };
    Entity::insert(row.clone().into_active_model())
        .exec_without_returning(tx.conn())
        .await
        .map_err(taken("SLUG_TAKEN", "another tenant has this slug; choose one of its own"))?;
    Ok(row)
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    Entity::find_by_id(id).one(tx.conn()).await?.ok_or_else(|| Refusal::not_found("tenant", id))
}

/// A tenant that can be dealt with: a suspended one is refused.
pub async fn get_active(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let tenant = get(tx, id).await?;
    match tenant.state()? {
        State::Active => Ok(tenant),
        State::Suspended => Err(Refusal::precondition("TENANT_SUSPENDED", "reinstate the tenant first")),
    }
}

pub async fn by_slug(tx: &Tx, slug: &Slug) -> Result<Option<Model>, Refusal> {
    Ok(Entity::find().filter(Column::Slug.eq(slug.as_str())).one(tx.conn()).await?)
}

pub async fn list(tx: &Tx, kind: Option<TenantKind>, page: &Page) -> Result<Vec<Model>, Refusal> {
    let mut select = Entity::find().order_by_asc(Column::Id).limit(page.size + 1);
    if let Some(after) = page.after {
        select = select.filter(Column::Id.gt(after));
    }
    if let Some(kind) = kind {
        select = select.filter(Column::Kind.eq(kind_name(kind)));
    }
    Ok(select.all(tx.conn()).await?)
}

pub async fn set_state(tx: &Tx, tenant: Model, state: State) -> Result<Model, Refusal> {
    let next = Model { state: state.as_str().to_owned(), version: tenant.version + 1, ..tenant };
    let row = ActiveModel { state: Set(next.state.clone()), version: Set(next.version), ..Default::default() };
    let done = Entity::update_many()
        .set(row)
        .filter(Column::Id.eq(next.id))
        .filter(Column::Version.eq(next.version - 1))
        .exec(tx.conn())
        .await?;
    if done.rows_affected == 1 {
        return Ok(next);
    }
    Err(Refusal::conflict("CHANGED_MEANWHILE", "the tenant has changed since; repeat"))
}

pub mod provider {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "identity_provider")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant_id: Uuid,
        pub issuer: String,
        pub audience: String,
        pub jwks_json: String,
        pub algorithms: Json,
        pub jwks_uri: String,
        pub claims: Json,
        pub version: i64,
        pub recorded_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Model {
        fn new(provider: IdentityProvider) -> Result<Self, Refusal> {
            let algorithms: Vec<_> = provider.algorithms.iter().map(|a| a.as_str()).collect();
            let (jwks_json, jwks_uri) = match provider.keys {
                Keys::Told(set) => (set.as_json().to_owned(), String::new()),
                Keys::At(uri) => (String::new(), uri),
            };
            Ok(Model {
                id: provider.id,
                tenant_id: provider.tenant_id,
                issuer: provider.issuer,
                audience: provider.audience,
                jwks_json,
                algorithms: algorithms.into(),
                jwks_uri,
                claims: serde_json::to_value(provider.claims).map_err(Refusal::internal)?,
                version: 1,
                recorded_at: clock::now(),
            })
        }

        pub fn claims(&self) -> Result<ClaimMapping, Refusal> {
            serde_json::from_value(self.claims.clone()).map_err(|_| unknown("identity_provider.claims"))
        }

        pub fn algorithms(&self) -> Result<Vec<Algorithm>, Refusal> {
            let names: Vec<String> =
                serde_json::from_value(self.algorithms.clone()).map_err(|_| unknown("identity_provider.algorithms"))?;
            names.iter().map(|name| Algorithm::parse(name).ok_or_else(|| unknown("identity_provider.algorithms"))).collect()
        }

        pub fn provider(&self) -> Result<IdentityProvider, Refusal> {
            Ok(IdentityProvider {
                id: self.id,
                tenant_id: self.tenant_id,
                issuer: self.issuer.clone(),
                audience: self.audience.clone(),
                keys: Keys::parse(&self.jwks_json, &self.jwks_uri)?,
                algorithms: self.algorithms()?,
                claims: self.claims()?,
            })
        }
    }

    pub async fn insert(tx: &Tx, provider: IdentityProvider) -> Result<Model, Refusal> {
        let row = Model::new(provider)?;
        Entity::insert(row.clone().into_active_model())
            .exec_without_returning(tx.conn())
            .await
            .map_err(taken("ISSUER_TAKEN", "the issuer speaks for a tenant already"))?;
        Ok(row)
    }

    pub async fn by_issuer(tx: &Tx, issuer: &str) -> Result<Option<Model>, Refusal> {
        Ok(Entity::find().filter(Column::Issuer.eq(issuer)).one(tx.conn()).await?)
    }

    pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
        Entity::find_by_id(id).one(tx.conn()).await?.ok_or_else(|| Refusal::not_found("identity provider", id))
    }

    pub async fn list(tx: &Tx, tenant: Uuid, page: &Page) -> Result<Vec<Model>, Refusal> {
        Ok(keyset(Entity::find().filter(Column::TenantId.eq(tenant)), Column::Id, page).all(tx.conn()).await?)
    }

    /// Gives an issuer all of it but its name and its tenant.
    pub async fn renew(tx: &Tx, old: Model, provider: IdentityProvider) -> Result<Model, Refusal> {
        let next = Model::new(provider)?;
        let row = ActiveModel {
            audience: Set(next.audience.clone()),
            jwks_json: Set(next.jwks_json.clone()),
            algorithms: Set(next.algorithms.clone()),
            jwks_uri: Set(next.jwks_uri.clone()),
            claims: Set(next.claims.clone()),
            version: Set(old.version + 1),
            ..Default::default()
        };
        let changed = Entity::update_many().set(row).filter(Column::Id.eq(old.id)).filter(Column::Version.eq(old.version));
        if changed.exec(tx.conn()).await?.rows_affected == 1 {
            let (id, version, recorded_at) = (old.id, old.version + 1, old.recorded_at);
            return Ok(Model { id, version, recorded_at, ..next });
        }
        Err(Refusal::conflict("CHANGED_MEANWHILE", "the identity provider has changed since; read it again"))
    }

    pub async fn remove(tx: &Tx, id: Uuid) -> Result<(), Refusal> {
        match Entity::delete_by_id(id).exec(tx.conn()).await?.rows_affected {
            1 => Ok(()),
            _ => Err(Refusal::not_found("identity provider", id)),
        }
    }

    /// Those of every active tenant.
    pub async fn active(tx: &Tx) -> Result<Vec<Model>, Refusal> {
        let tenants =
            super::Entity::find().select_only().column(super::Column::Id).filter(super::Column::State.eq(State::Active.as_str()));
        let select = Entity::find().filter(Column::TenantId.in_subquery(sea_orm::QueryTrait::into_query(tenants)));
        Ok(select.order_by_asc(Column::Id).all(tx.conn()).await?)
    }
}
