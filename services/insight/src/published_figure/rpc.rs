//! The edge of published figures.

use tahuka_chassis::{Caller, Once, Page, Refusal, Store, clock, edge, ids};
use tahuka_proto::insight::v1::published_figure_service_server::PublishedFigureService;
use tahuka_proto::insight::v1::{self as proto, *};
use tonic::{Request, Response, Status};

use super::NewFigure;
use super::store::{self, Model};

pub struct PublishedFigures {
    pub store: Store,
}

#[tonic::async_trait]
impl PublishedFigureService for PublishedFigures {
    async fn create_published_figure(
        &self,
        request: Request<CreatePublishedFigureRequest>,
    ) -> Result<Response<CreatePublishedFigureResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme_id = edge::uuid("programme_id", &request.programme_id)?;
        let figure = new_figure(&request)?;

        let tx = match self.store.begin_once(&caller, "CreatePublishedFigure", &request.request_id, &request).await? {
            Once::Done(answer) => return Ok(Response::new(answer)),
            Once::Fresh(tx) => tx,
        };
        tx.require_write(caller.tenant_id, None)?;
        let row = Model {
            id: ids::new_id(),
            programme_id,
            custodian_id: caller.tenant_id,
            code: figure.code,
            value: figure.value,
            text: figure.text,
            source: figure.source,
            published_on: figure.published_on,
            version: 1,
            recorded_at: clock::now(),
        };
        store::insert(&tx, row.clone()).await?;
        let answer = CreatePublishedFigureResponse { published_figure: Some(shown(&row)) };
        tx.commit_with(&answer).await?;
        Ok(Response::new(answer))
    }

    async fn list_published_figures(
        &self,
        request: Request<ListPublishedFiguresRequest>,
    ) -> Result<Response<ListPublishedFiguresResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme = edge::uuid("programme_id", &request.programme_id)?;
        let page = Page::parse(request.page_size, &request.page_token, &caller, &format!("published figures {programme}"))?;
        let tx = self.store.read(&caller).await?;
        let (rows, next_page_token) = page.cut(store::list(&tx, programme, &page).await?, |row| row.id);
        let published_figures = rows.iter().map(shown).collect();
        Ok(Response::new(ListPublishedFiguresResponse { published_figures, next_page_token }))
    }
}

fn new_figure(told: &CreatePublishedFigureRequest) -> Result<NewFigure, Refusal> {
    let figure = NewFigure {
        code: edge::text("code", &told.code, 100)?,
        value: told.value,
        text: edge::optional_text("text", &told.text, 500)?.unwrap_or_default(),
        source: edge::text("source", &told.source, 500)?,
        published_on: told.published_on.as_ref().map(|date| edge::past("published_on", Some(date))).transpose()?,
    };
    figure.checked()
}

/// It is public and says nothing of a person: whoever may see the row may see all of it.
fn shown(row: &Model) -> proto::PublishedFigure {
    proto::PublishedFigure {
        id: row.id.to_string(),
        programme_id: row.programme_id.to_string(),
        custodian_id: row.custodian_id.to_string(),
        code: row.code.clone(),
        value: row.value,
        text: row.text.clone(),
        source: row.source.clone(),
        published_on: row.published_on.map(edge::to_date),
        etag: row.version.to_string(),
        recorded_at: Some(edge::timestamp(row.recorded_at)),
    }
}
