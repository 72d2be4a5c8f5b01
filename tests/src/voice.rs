//! One caller's way to the gateway: its channel and its token.

use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

pub type Line = InterceptedService<Channel, Bearer>;

/// Puts the token on each call.
#[derive(Clone)]
pub struct Bearer(Option<String>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            let value = MetadataValue::try_from(format!("Bearer {token}")).map_err(|e| Status::internal(e.to_string()))?;
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

#[derive(Clone)]
pub struct Voice {
    channel: Channel,
    bearer: Bearer,
}

impl Voice {
    pub fn new(channel: Channel, token: Option<String>) -> Self {
        Voice { channel, bearer: Bearer(token) }
    }

    /// The transport for any generated client.
    pub fn line(&self) -> Line {
        InterceptedService::new(self.channel.clone(), self.bearer.clone())
    }
}

/// A new id for a mutation.
pub fn new_request_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
