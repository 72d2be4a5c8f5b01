//! The edge of certificates.

use tahuka_chassis::{Caller, Store, edge};
use tahuka_proto::handover::v1::certificate_service_server::CertificateService;
use tahuka_proto::handover::v1::*;
use tonic::{Request, Response, Status};

use crate::agreement::store as agreement;
use crate::tranche::store as tranche;

pub struct Certificates {
    pub store: Store,
}

#[tonic::async_trait]
impl CertificateService for Certificates {
    async fn get_certificate(&self, request: Request<GetCertificateRequest>) -> Result<Response<GetCertificateResponse>, Status> {
        let (caller, request) = Caller::take(request)?;
        let id = edge::uuid("tranche_id", &request.tranche_id)?;
        let tx = self.store.read(&caller).await?;
        let tranche = tranche::get(&tx, id).await?.tranche()?;
        let agreement = agreement::get(&tx, tranche.agreement_id).await?.agreement()?;
        let certificate = super::of(&tranche, &agreement)?;
        Ok(Response::new(GetCertificateResponse { json: certificate.json()?, pdf: certificate.pdf() }))
    }
}
