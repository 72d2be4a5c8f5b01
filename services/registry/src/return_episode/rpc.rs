//! The edge of return episodes.

use tahuka_chassis::{Caller, Once, Page, Refusal, Store, clock, edge};
use tahuka_proto::registry::v1::return_episode_service_server::ReturnEpisodeService;
use tahuka_proto::registry::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use super::store::{self, Model};
use super::{Return, country, fled};
use crate::fields::{at, optional_text};
use crate::household::{Category, store as household};
use crate::individual::store as individual;

pub struct ReturnEpisodes {
    pub store: Store,
}

#[tonic::async_trait]
impl ReturnEpisodeService for ReturnEpisodes {
    async fn record_return_episode(
        &self,
        request: Request<RecordReturnEpisodeRequest>,
    ) -> Result<Response<RecordReturnEpisodeResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let household_id = edge::uuid("household_id", &request.household_id)?;
        let told = &request.individual_id;
        let individual_id = (!told.is_empty()).then(|| edge::uuid("individual_id", told)).transpose()?;
        let returned_on = edge::past("returned_on", request.returned_on.as_ref())?;
        let episode = Return {
            country: at("country_of_asylum", country(&request.country_of_asylum))?,
            fled_year: match request.fled_year {
                0 => None,
                year => Some(at("fled_year", fled(year, returned_on))?),
            },
            returned_on,
            entry_point: optional_text("entry_point", &request.entry_point)?,
            transit_centre: optional_text("transit_centre", &request.transit_centre)?,
        };

        let mut tx = match self.store.begin_once(&caller, "RecordReturnEpisode", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        let household = household::get_for_write(&tx, household_id).await?;
        if household.category != Category::Returnee.code() {
            return Err(Refusal::precondition("NOT_A_RETURNEE", "only households of returnees have returned").into());
        }
        if let Some(id) = individual_id
            && individual::get(&tx, id).await?.household_id != household.id
        {
            return Err(Refusal::not_found("individual", id).into());
        }
        let row = Model::new(episode, &household, individual_id, clock::now());
        store::insert(&tx, vec![row.clone()]).await?;
        tx.publish(row.custodian_id, row.id, &recorded(&row)).await?;
        let answer = RecordReturnEpisodeResponse { return_episode: Some(shown(&caller, &row)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_return_episodes(
        &self,
        request: Request<ListReturnEpisodesRequest>,
    ) -> Result<Response<ListReturnEpisodesResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let household_id = edge::uuid("household_id", &request.household_id)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("returns {household_id}"))?;
        let tx = self.store.read(&caller).await?;
        household::get(&tx, household_id).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, household_id, &page).await?, |row| row.id);
        let return_episodes = rows.iter().map(|row| shown(&caller, row)).collect();
        Ok(Response::new(ListReturnEpisodesResponse { return_episodes, next_page_token }))
    }
}

fn shown(caller: &Caller, row: &Model) -> proto::ReturnEpisode {
    let message = proto::ReturnEpisode {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        district: row.district.clone(),
        household_id: row.household_id.to_string(),
        individual_id: row.individual_id.map(|id| id.to_string()).unwrap_or_default(),
        country_of_asylum: row.country_of_asylum.clone(),
        fled_year: row.fled_year.unwrap_or_default(),
        returned_on: Some(edge::to_date(row.returned_on)),
        entry_point: row.entry_point.clone().unwrap_or_default(),
        transit_centre: row.transit_centre.clone().unwrap_or_default(),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    };
    caller.disclose(row.custodian_id, Some(&row.district), message)
}

/// What the house is told of a return.
pub fn recorded(row: &Model) -> ReturnRecorded {
    ReturnRecorded {
        programme_id: row.programme_id.to_string(),
        happened_on: Some(edge::to_date(row.returned_on)),
        district: row.district.clone(),
        household_id: row.household_id.to_string(),
        country_of_asylum: row.country_of_asylum.clone(),
        returned_on: Some(edge::to_date(row.returned_on)),
    }
}
