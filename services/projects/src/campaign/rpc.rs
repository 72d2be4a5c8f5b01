//! The edge of campaigns.

use tahuka_chassis::{Caller, Once, Page, Refusal, Store, clock, edge, ids};
use tahuka_proto::projects::v1::campaign_service_server::CampaignService;
use tahuka_proto::projects::v1::{self as proto, *};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::store::{self, Filter, Model};
use super::{Channel, Command, Holding, Level, State, channels, district};

const LONGEST_CODE: usize = 50;
const LONGEST_TITLE: usize = 200;
const LONGEST_TOPIC: usize = 1000;

pub struct Campaigns {
    pub store: Store,
}

#[tonic::async_trait]
impl CampaignService for Campaigns {
    async fn create_campaign(&self, request: Request<CreateCampaignRequest>) -> Result<Response<CreateCampaignResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let row = planned(&request, caller.tenant_id)?;

        let tx = match self.store.begin_once(&caller, "CreateCampaign", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        tx.require_write(row.custodian_id, Some(&row.district))?;
        store::insert(&tx, &row).await?;
        let answer = CreateCampaignResponse { campaign: Some(shown(&caller, &row)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn hold_campaign(&self, request: Request<HoldCampaignRequest>) -> Result<Response<HoldCampaignResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("campaign_id", &request.campaign_id)?;
        let holding = Holding {
            on: edge::past("held_on", request.held_on.as_ref())?,
            reach: request.reach,
            cost: edge::positive_money("cost", request.cost.as_ref())?,
        };

        let mut tx = match self.store.begin_once(&caller, "HoldCampaign", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get_for_write(&tx, id).await?;
        edge::etag("etag", &request.etag, row.version)?;
        let row = store::change(&tx, row, Command::Hold(holding)).await?;
        let told = CampaignHeld {
            programme_id: row.programme_id.to_string(),
            happened_on: row.held_on.map(edge::to_date),
            district: row.district.clone(),
            campaign_id: id.to_string(),
            level: row.level.clone(),
            reach: row.reach,
            cost: cost(&row),
        };
        tx.publish(row.custodian_id, id, &told).await?;
        let answer = HoldCampaignResponse { campaign: Some(shown(&caller, &row)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn cancel_campaign(&self, request: Request<CancelCampaignRequest>) -> Result<Response<CancelCampaignResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("campaign_id", &request.campaign_id)?;

        let tx = match self.store.begin_once(&caller, "CancelCampaign", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let row = store::get_for_write(&tx, id).await?;
        edge::etag("etag", &request.etag, row.version)?;
        let row = store::change(&tx, row, Command::Cancel).await?;
        let answer = CancelCampaignResponse { campaign: Some(shown(&caller, &row)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn get_campaign(&self, request: Request<GetCampaignRequest>) -> Result<Response<GetCampaignResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("campaign_id", &request.campaign_id)?;
        let tx = self.store.read(&caller).await?;
        let campaign = shown(&caller, &store::get(&tx, id).await?);
        Ok(Response::new(GetCampaignResponse { campaign: Some(campaign) }))
    }

    async fn list_campaigns(&self, request: Request<ListCampaignsRequest>) -> Result<Response<ListCampaignsResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let filter = Filter {
            programme_id: edge::optional_uuid("programme_id", &request.programme_id)?,
            level: match request.level {
                0 => None,
                told => Some(level(told)?),
            },
            district: edge::optional_district("district", &request.district)?,
        };
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("campaigns {filter:?}"))?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = store::list(&tx, &filter, &page).await?;
        let campaigns = rows.iter().map(|row| shown(&caller, row)).collect();
        Ok(Response::new(ListCampaignsResponse { campaigns, next_page_token }))
    }
}

fn level(told: i32) -> Result<Level, Refusal> {
    Level::numbered(told).ok_or_else(|| Refusal::invalid("level", "must be national or local"))
}

/// The new campaign that the request tells of.
fn planned(request: &CreateCampaignRequest, custodian_id: Uuid) -> Result<Model, Refusal> {
    let level = level(request.level)?;
    let starts_on = edge::date("starts_on", request.starts_on.as_ref())?;
    let ends_on = edge::date("ends_on", request.ends_on.as_ref())?;
    if ends_on < starts_on {
        return Err(Refusal::invalid("ends_on", "must not be before starts_on"));
    }
    let words: Vec<&str> = channels(&request.channels)?.into_iter().map(Channel::word).collect();
    Ok(Model {
        id: ids::new_id(),
        programme_id: edge::uuid("programme_id", &request.programme_id)?,
        custodian_id,
        district: district(level, edge::optional_district("district", &request.district)?)?,
        code: edge::text("code", &request.code, LONGEST_CODE)?,
        level: level.word().to_owned(),
        title: edge::text("title", &request.title, LONGEST_TITLE)?,
        topic: edge::text("topic", &request.topic, LONGEST_TOPIC)?,
        channels: words.into(),
        starts_on,
        ends_on,
        state: State::Planned.word().to_owned(),
        held_on: None,
        reach: 0,
        cost_minor: None,
        cost_currency: None,
        version: 1,
        recorded_at: clock::now(),
    })
}

fn cost(row: &Model) -> Option<tahuka_proto::google::r#type::Money> {
    row.cost_minor.zip(row.cost_currency.as_deref()).and_then(|(minor, currency)| edge::stored_money(minor, currency))
}

/// The campaign as the caller may see it.
fn shown(caller: &Caller, row: &Model) -> proto::Campaign {
    let words = row.channels.as_array().into_iter().flatten();
    let message = proto::Campaign {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        district: row.district.clone(),
        code: row.code.clone(),
        level: Level::number_of(&row.level),
        title: row.title.clone(),
        topic: row.topic.clone(),
        channels: words.filter_map(|w| w.as_str()).map(Channel::number_of).collect(),
        starts_on: Some(edge::to_date(row.starts_on)),
        ends_on: Some(edge::to_date(row.ends_on)),
        state: State::number_of(&row.state),
        held_on: row.held_on.map(edge::to_date),
        reach: row.reach,
        cost: cost(row),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    caller.disclose(row.custodian_id, Some(&row.district), message)
}
