//! Where the command line asks, and as whom.

use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use clap::Args;
use tahuka_chassis::{Refusal, clock, edge, ids};
use tahuka_proto::google::r#type::Date;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::table::Table;
use crate::reach::{Trust, endpoint};

#[derive(Args)]
pub struct Desk {
    /// The gateway
    #[arg(long, env = "TAHUKA_GATEWAY", default_value = "http://127.0.0.1:50051", value_name = "URL")]
    gateway: String,
    #[command(flatten)]
    trust: Trust,
    /// Access token of the one who asks
    #[arg(long, env = "TAHUKA_TOKEN", hide_env_values = true, conflicts_with = "token_file")]
    token: Option<String>,
    /// File with the access token: nobody else on this machine sees it there
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub type Line = InterceptedService<Channel, Bearer>;

/// Puts the token on each call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Desk {
    /// The transport for any client of the API.
    pub async fn line(&self) -> Result<Line, Refusal> {
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(file)) => {
                std::fs::read_to_string(file).map_err(|e| Refusal::invalid("--token-file", format!("{}: {e}", file.display())))?
            }
            (None, None) => return Err(Refusal::invalid("--token", "must be given, or --token-file, or TAHUKA_TOKEN")),
        };
        let bearer = MetadataValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| Refusal::invalid("--token", "must be an access token"))?;
        let endpoint = endpoint("--gateway", &self.gateway, &self.trust)?.timeout(Duration::from_secs(60));
        let channel =
            endpoint.connect().await.map_err(|e| Refusal::Unavailable(format!("the gateway at {} ({e})", self.gateway)))?;
        Ok(InterceptedService::new(channel, Bearer(bearer)))
    }

    pub fn tell(&self, table: &Table) -> Result<(), Refusal> {
        print!("{}", if self.json { table.json()? } else { table.text() });
        Ok(())
    }
}

/// An id for a mutation.
pub fn request_id() -> String {
    ids::new_id().to_string()
}

pub fn told<T>(part: Option<T>) -> Result<T, Refusal> {
    part.ok_or_else(|| Refusal::internal("the answer is empty"))
}

/// Today where no day is told.
pub fn day(told: Option<NaiveDate>) -> Option<Date> {
    Some(edge::to_date(told.unwrap_or_else(clock::today)))
}

pub fn shown_day(day: Option<&Date>) -> String {
    day.map(|d| format!("{:04}-{:02}-{:02}", d.year, d.month, d.day)).unwrap_or_default()
}
