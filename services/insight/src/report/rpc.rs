//! The edge of the report.

use tahuka_chassis::{Caller, Store, edge};
use tahuka_proto::insight::v1::report_service_server::ReportService;
use tahuka_proto::insight::v1::{
    GetProgrammeReportRequest, GetProgrammeReportResponse, GetTrancheFiguresRequest, GetTrancheFiguresResponse,
};
use tonic::{Request, Response, Status};

use super::compose::compose;
use crate::disclosure::SUPPRESSED;
use crate::tranche;
use crate::view::View;

pub struct Reports {
    pub store: Store,
}

#[tonic::async_trait]
impl ReportService for Reports {
    async fn get_programme_report(
        &self,
        request: Request<GetProgrammeReportRequest>,
    ) -> Result<Response<GetProgrammeReportResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme = edge::uuid("programme_id", &request.programme_id)?;
        let since = edge::optional_date("since", request.since.as_ref())?;

        let tx = self.store.read(&caller).await?;
        let view = View::of(&tx, programme).await?;
        let report = compose(&tx, &view, since).await?;
        let figures = report.sections.iter().flat_map(|section| &section.figures).filter(|figure| figure.suppressed);
        let districts = report.districts.iter().flat_map(|line| &line.figures).filter(|figure| figure.suppressed);
        metrics::counter!(SUPPRESSED).increment((figures.count() + districts.count()) as u64);
        Ok(Response::new(caller.disclose_at(view.level, GetProgrammeReportResponse { report: Some(report) })))
    }

    async fn get_tranche_figures(
        &self,
        request: Request<GetTrancheFiguresRequest>,
    ) -> Result<Response<GetTrancheFiguresResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let programme = edge::uuid("programme_id", &request.programme_id)?;
        let tranche = edge::uuid("tranche_id", &request.tranche_id)?;

        let tx = self.store.read(&caller).await?;
        let view = View::of(&tx, programme).await?;
        let answer = tranche::answer(&tx, &view, tranche).await?;
        Ok(Response::new(caller.disclose_at(view.level, answer)))
    }
}
