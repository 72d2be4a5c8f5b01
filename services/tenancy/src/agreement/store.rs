//! Agreements on disk. Seen by their two parties.

use chrono::NaiveDate;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{Condition, IntoActiveModel, QueryOrder, QuerySelect};
use serde::{Deserialize, Serialize};
use tahuka_chassis::{Page, Refusal, Tx, clock, taken};
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};

use super::amendment::Standing;
use super::{Agreement, Amendment, State, Term};
use crate::edge::unknown;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "agreement")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub programme_id: Uuid,
    pub custodian_id: Uuid,
    pub recipient_id: Uuid,
    pub state: String,
    pub terms: Json,
    pub purpose: String,
    pub starts_on: Date,
    pub ends_on: Date,
    pub custodian_signed_on: Option<Date>,
    pub recipient_signed_on: Option<Date>,
    pub revoked_on: Option<Date>,
    pub revision: i32,
    pub version: i64,
    pub recorded_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

#[derive(Serialize, Deserialize)]
struct TermRow {
    category: String,
    level: String,
    districts: Vec<String>,
    write: bool,
    #[serde(default)]
    grants: Vec<Uuid>,
}

impl TermRow {
    fn term(self) -> Option<Term> {
        Some(Term {
            category: DataCategory::from_str_name(&self.category)?,
            level: DisclosureLevel::from_str_name(&self.level)?,
            districts: self.districts,
            write: self.write,
            grants: self.grants,
        })
    }
}

fn to_json(terms: &[Term]) -> Result<Json, Refusal> {
    let term = |term: &Term| TermRow {
        category: term.category.as_str_name().to_owned(),
        level: term.level.as_str_name().to_owned(),
        districts: term.districts.clone(),
        write: term.write,
        grants: term.grants.clone(),
    };
    let terms: Vec<_> = terms.iter().map(term).collect();
    serde_json::to_value(terms).map_err(Refusal::internal)
}

fn from_json(terms: &Json) -> Result<Vec<Term>, Refusal> {
    let terms: Vec<TermRow> = serde_json::from_value(terms.clone()).map_err(|_| unknown("agreement.terms"))?;
    terms.into_iter().map(|row| row.term().ok_or_else(|| unknown("agreement.terms"))).collect()
}

impl Model {
    fn new(agreement: &Agreement) -> Result<Self, Refusal> {
        Ok(Model {
            id: agreement.id,
            programme_id: agreement.programme_id,
            custodian_id: agreement.custodian_id,
            recipient_id: agreement.recipient_id,
            state: agreement.state.as_str().to_owned(),
            terms: to_json(&agreement.terms)?,
            purpose: agreement.purpose.clone(),
            starts_on: agreement.starts_on,
            ends_on: agreement.ends_on,
            custodian_signed_on: agreement.custodian_signed_on,
            recipient_signed_on: agreement.recipient_signed_on,
            revoked_on: agreement.revoked_on,
            revision: agreement.revision,
            version: 1,
            recorded_at: clock::now(),
        })
    }

    /// With its state as of today.
    pub fn agreement(&self) -> Result<Agreement, Refusal> {
        let state = match self.state.as_str() {
            "proposed" => {
                State::Proposed { custodian: self.custodian_signed_on.is_some(), recipient: self.recipient_signed_on.is_some() }
            }
            "active" => State::Active,
            "revoked" => State::Revoked,
            "expired" => State::Expired,
            _ => return Err(unknown("agreement.state")),
        };
        let agreement = Agreement {
            id: self.id,
            programme_id: self.programme_id,
            custodian_id: self.custodian_id,
            recipient_id: self.recipient_id,
            state,
            terms: from_json(&self.terms)?,
            purpose: self.purpose.clone(),
            starts_on: self.starts_on,
            ends_on: self.ends_on,
            custodian_signed_on: self.custodian_signed_on,
            recipient_signed_on: self.recipient_signed_on,
            revoked_on: self.revoked_on,
            revision: self.revision,
        };
        Ok(agreement.dated(clock::today()))
    }
}

pub async fn insert(tx: &Tx, agreement: &Agreement) -> Result<Model, Refusal> {
    let row = Model::new(agreement)?;
    Entity::insert(row.clone().into_active_model()).exec_without_returning(tx.conn()).await?;
    Ok(row)
}

pub async fn get(tx: &Tx, id: Uuid) -> Result<Model, Refusal> {
    let found = parties(tx).filter(Column::Id.eq(id)).one(tx.conn()).await?;
    found.ok_or_else(|| Refusal::not_found("agreement", id))
}

pub async fn list(tx: &Tx, programme: Option<Uuid>, page: &Page) -> Result<Vec<Model>, Refusal> {
    let mut select = parties(tx).order_by_asc(Column::Id).limit(page.size + 1);
    if let Some(after) = page.after {
        select = select.filter(Column::Id.gt(after));
    }
    if let Some(programme) = programme {
        select = select.filter(Column::ProgrammeId.eq(programme));
    }
    Ok(select.all(tx.conn()).await?)
}

/// Writes what `old` has become.
pub async fn update(tx: &Tx, old: Model, agreement: &Agreement) -> Result<Model, Refusal> {
    let row = Model { version: old.version + 1, recorded_at: old.recorded_at, ..Model::new(agreement)? };
    let change = ActiveModel {
        state: Set(row.state.clone()),
        terms: Set(row.terms.clone()),
        purpose: Set(row.purpose.clone()),
        starts_on: Set(row.starts_on),
        ends_on: Set(row.ends_on),
        revision: Set(row.revision),
        custodian_signed_on: Set(row.custodian_signed_on),
        recipient_signed_on: Set(row.recipient_signed_on),
        revoked_on: Set(row.revoked_on),
        version: Set(row.version),
        ..Default::default()
    };
    let done = Entity::update_many()
        .set(change)
        .filter(Column::Id.eq(old.id))
        .filter(Column::Version.eq(old.version))
        .exec(tx.conn())
        .await?;
    if done.rows_affected == 1 {
        return Ok(row);
    }
    Err(Refusal::conflict("CHANGED_MEANWHILE", "the agreement has changed since; read it again"))
}

/// Every agreement that may be in force for the recipient `today`.
pub async fn in_force(tx: &Tx, recipient: Uuid, today: NaiveDate) -> Result<Vec<Agreement>, Refusal> {
    let rows = held_out_to(recipient, today)
        .filter(Column::State.eq(State::Active.as_str()))
        .filter(Column::StartsOn.lte(today))
        .order_by_asc(Column::Id)
        .all(tx.conn())
        .await?;
    rows.iter().map(Model::agreement).collect()
}

/// Those that are proposed to the recipient or active, and have not ended by `today`.
pub fn held_out_to(recipient: Uuid, today: NaiveDate) -> Select<Entity> {
    Entity::find()
        .filter(Column::RecipientId.eq(recipient))
        .filter(Column::State.is_in([State::PROPOSED.as_str(), State::Active.as_str()]))
        .filter(Column::EndsOn.gte(today))
}

fn parties(tx: &Tx) -> Select<Entity> {
    let tenant = tx.caller().tenant_id;
    Entity::find().filter(Condition::any().add(Column::CustodianId.eq(tenant)).add(Column::RecipientId.eq(tenant)))
}

/// Proposals to agree on something else.
pub mod amendment {
    use std::collections::HashMap;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "agreement_amendment")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub agreement_id: Uuid,
        pub custodian_id: Uuid,
        pub recipient_id: Uuid,
        pub revision: i32,
        pub state: String,
        pub terms: Json,
        pub purpose: String,
        pub starts_on: Date,
        pub ends_on: Date,
        pub custodian_signed_on: Option<Date>,
        pub recipient_signed_on: Option<Date>,
        pub version: i64,
        pub recorded_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Model {
        pub fn amendment(&self) -> Result<Amendment, Refusal> {
            Ok(Amendment {
                id: self.id,
                agreement_id: self.agreement_id,
                custodian_id: self.custodian_id,
                recipient_id: self.recipient_id,
                revision: self.revision,
                standing: Standing::parse(&self.state).ok_or_else(|| unknown("agreement_amendment.state"))?,
                terms: from_json(&self.terms)?,
                purpose: self.purpose.clone(),
                starts_on: self.starts_on,
                ends_on: self.ends_on,
                custodian_signed_on: self.custodian_signed_on,
                recipient_signed_on: self.recipient_signed_on,
            })
        }
    }

    pub async fn insert(tx: &Tx, amendment: &Amendment) -> Result<(), Refusal> {
        let row = Model {
            id: amendment.id,
            agreement_id: amendment.agreement_id,
            custodian_id: amendment.custodian_id,
            recipient_id: amendment.recipient_id,
            revision: amendment.revision,
            state: amendment.standing.word().to_owned(),
            terms: to_json(&amendment.terms)?,
            purpose: amendment.purpose.clone(),
            starts_on: amendment.starts_on,
            ends_on: amendment.ends_on,
            custodian_signed_on: amendment.custodian_signed_on,
            recipient_signed_on: amendment.recipient_signed_on,
            version: 1,
            recorded_at: clock::now(),
        };
        Entity::insert(row.into_active_model())
            .exec_without_returning(tx.conn())
            .await
            .map_err(taken("CHANGED_MEANWHILE", "the agreement has changed since; read it again"))?;
        Ok(())
    }

    /// The highest revision that was ever proposed; 1 is the agreement itself.
    pub async fn last_revision(tx: &Tx, agreement: Uuid) -> Result<i32, Refusal> {
        let select = Entity::find().filter(Column::AgreementId.eq(agreement)).order_by_desc(Column::Revision);
        Ok(select.one(tx.conn()).await?.map_or(1, |row| row.revision))
    }

    /// Those of these agreements that wait for a signature, by agreement.
    pub async fn open(tx: &Tx, agreements: Vec<Uuid>) -> Result<HashMap<Uuid, Amendment>, Refusal> {
        let select = Entity::find()
            .filter(Column::AgreementId.is_in(agreements))
            .filter(Column::State.eq(Standing::Open.word()))
            .order_by_asc(Column::Revision);
        let rows = select.all(tx.conn()).await?;
        rows.iter().map(|row| Ok((row.agreement_id, row.amendment()?))).collect()
    }

    /// Writes what has become of it and who has signed.
    pub async fn update(tx: &Tx, amendment: &Amendment) -> Result<(), Refusal> {
        let change = ActiveModel {
            state: Set(amendment.standing.word().to_owned()),
            custodian_signed_on: Set(amendment.custodian_signed_on),
            recipient_signed_on: Set(amendment.recipient_signed_on),
            ..Default::default()
        };
        Entity::update_many()
            .set(change)
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .filter(Column::Id.eq(amendment.id))
            .exec(tx.conn())
            .await?;
        Ok(())
    }

    /// What still waits for a signature waits for none any more.
    pub async fn close(tx: &Tx, agreement: Uuid, standing: Standing) -> Result<(), Refusal> {
        Entity::update_many()
            .set(ActiveModel { state: Set(standing.word().to_owned()), ..Default::default() })
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .filter(Column::AgreementId.eq(agreement))
            .filter(Column::State.eq(Standing::Open.word()))
            .exec(tx.conn())
            .await?;
        Ok(())
    }
}
