//! `tahuka agreement`: what one tenant lets another see, said by a party of it.

use chrono::NaiveDate;
use clap::{Args, Subcommand};
use serde_json::json;
use tahuka_chassis::Refusal;
use tahuka_proto::options::v1::{DataCategory, DisclosureLevel};
use tahuka_proto::tenancy::v1 as tenancy;
use tahuka_proto::tenancy::v1::agreement_service_client::AgreementServiceClient;

use super::desk::{Desk, Line, day, request_id, shown_day, told};
use super::table::Table;
use super::tenant::word;

#[derive(Subcommand)]
pub enum AgreementCommand {
    /// The agreements that one's tenant is a party of
    List {
        #[command(flatten)]
        desk: Desk,
        /// Of this programme only
        #[arg(long)]
        programme: Option<String>,
    },
    /// Propose one, as the custodian of the programme, and thereby sign it
    Propose {
        #[command(flatten)]
        desk: Desk,
        /// The programme's id
        #[arg(long)]
        programme: String,
        /// The id of the tenant that is let in
        #[arg(long, value_name = "TENANT")]
        to: String,
        #[command(flatten)]
        contents: Contents,
    },
    /// Propose the next version of an active one, and thereby sign it; the old one holds until both have signed
    Amend {
        #[command(flatten)]
        desk: Desk,
        /// The agreement's id
        agreement: String,
        #[command(flatten)]
        contents: Contents,
    },
    /// Sign one that was proposed, or an amendment of it
    Sign {
        #[command(flatten)]
        desk: Desk,
        /// The agreement's id
        agreement: String,
        /// The amendment's revision
        #[arg(long, default_value_t = 1)]
        revision: i32,
        /// [default: today]
        #[arg(long, value_name = "DATE")]
        on: Option<NaiveDate>,
    },
    /// End one, from now on
    Revoke {
        #[command(flatten)]
        desk: Desk,
        /// The agreement's id
        agreement: String,
        /// [default: today]
        #[arg(long, value_name = "DATE")]
        on: Option<NaiveDate>,
    },
    /// Who has done what with one, and when
    Changes {
        #[command(flatten)]
        desk: Desk,
        /// The agreement's id
        agreement: String,
    },
}

#[derive(Args)]
pub struct Contents {
    /// What is let in: CATEGORY=LEVEL, then @DISTRICT,… or #GRANT,… to limit it, or +write; e.g. registration=identified@RW33
    #[arg(long = "term", required = true, value_parser = term)]
    terms: Vec<tenancy::AgreementTerm>,
    /// First day
    #[arg(long, value_name = "DATE")]
    from: NaiveDate,
    /// Last day
    #[arg(long, value_name = "DATE")]
    until: NaiveDate,
    #[arg(long)]
    purpose: String,
    /// The day on which it is proposed [default: today]
    #[arg(long, value_name = "DATE")]
    on: Option<NaiveDate>,
}

pub fn term(text: &str) -> Result<tenancy::AgreementTerm, String> {
    let (category, rest) = text.split_once('=').ok_or("must be CATEGORY=LEVEL")?;
    let end = rest.find(['@', '#', '+']).unwrap_or(rest.len());
    let category = DataCategory::from_str_name(&category.to_uppercase()).ok_or_else(|| format!("no category {category}"))?;
    let level =
        DisclosureLevel::from_str_name(&rest[..end].to_uppercase()).ok_or_else(|| format!("no level {}", &rest[..end]))?;
    let mut term = tenancy::AgreementTerm { category: category.into(), level: level.into(), ..Default::default() };
    let mut rest = &rest[end..];
    while let Some(sign) = rest.chars().next() {
        let end = rest[1..].find(['@', '#', '+']).map_or(rest.len(), |n| n + 1);
        let words = || rest[1..end].split(',').map(str::to_owned).collect::<Vec<_>>();
        match (sign, &rest[1..end]) {
            ('@', _) => term.districts.extend(words()),
            ('#', _) => term.grants.extend(words()),
            ('+', "write") => term.write = true,
            (_, other) => return Err(format!("+{other} is not known; +write is")),
        }
        rest = &rest[end..];
    }
    Ok(term)
}

pub async fn run(command: AgreementCommand) -> Result<(), Refusal> {
    match command {
        AgreementCommand::List { desk, programme } => {
            let mut client = client(&desk).await?;
            let programme_id = programme.unwrap_or_default();
            let mut request = tenancy::ListAgreementsRequest { page_size: 1000, programme_id, ..Default::default() };
            let mut agreements = Vec::new();
            loop {
                let page = client.list_agreements(request.clone()).await?.into_inner();
                agreements.extend(page.agreements);
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    return desk.tell(&table(&agreements));
                }
            }
        }
        AgreementCommand::Propose { desk, programme, to, contents } => {
            let request = tenancy::ProposeAgreementRequest {
                request_id: request_id(),
                programme_id: programme,
                recipient_id: to,
                terms: contents.terms,
                starts_on: day(Some(contents.from)),
                ends_on: day(Some(contents.until)),
                purpose: contents.purpose,
                proposed_on: day(contents.on),
            };
            desk.tell(&table(&[told(client(&desk).await?.propose_agreement(request).await?.into_inner().agreement)?]))
        }
        AgreementCommand::Amend { desk, agreement, contents } => {
            let request = tenancy::AmendAgreementRequest {
                request_id: request_id(),
                agreement_id: agreement,
                terms: contents.terms,
                starts_on: day(Some(contents.from)),
                ends_on: day(Some(contents.until)),
                purpose: contents.purpose,
                proposed_on: day(contents.on),
            };
            desk.tell(&table(&[told(client(&desk).await?.amend_agreement(request).await?.into_inner().agreement)?]))
        }
        AgreementCommand::Sign { desk, agreement, revision, on } => {
            let request =
                tenancy::SignAgreementRequest { request_id: request_id(), agreement_id: agreement, signed_on: day(on), revision };
            desk.tell(&table(&[told(client(&desk).await?.sign_agreement(request).await?.into_inner().agreement)?]))
        }
        AgreementCommand::Revoke { desk, agreement, on } => {
            let request =
                tenancy::RevokeAgreementRequest { request_id: request_id(), agreement_id: agreement, revoked_on: day(on) };
            desk.tell(&table(&[told(client(&desk).await?.revoke_agreement(request).await?.into_inner().agreement)?]))
        }
        AgreementCommand::Changes { desk, agreement } => {
            let mut client = client(&desk).await?;
            let mut request =
                tenancy::ListAgreementChangesRequest { agreement_id: agreement, page_size: 1000, ..Default::default() };
            let mut table =
                Table::new(&["recorded_at", "action", "revision", "in_force", "state", "tenant_id", "subject", "happened_on"]);
            loop {
                let page = client.list_agreement_changes(request.clone()).await?.into_inner();
                for change in &page.changes {
                    table.row([
                        json!(change.recorded_at.map(|at| at.to_string()).unwrap_or_default()),
                        json!(word(change.action().as_str_name(), "AGREEMENT_ACTION_")),
                        json!(change.revision),
                        json!(change.revision_in_force),
                        json!(word(change.state().as_str_name(), "AGREEMENT_STATE_")),
                        json!(change.tenant_id),
                        json!(change.subject),
                        json!(shown_day(change.happened_on.as_ref())),
                    ]);
                }
                request.page_token = page.next_page_token;
                if request.page_token.is_empty() {
                    return desk.tell(&table);
                }
            }
        }
    }
}

async fn client(desk: &Desk) -> Result<AgreementServiceClient<Line>, Refusal> {
    Ok(AgreementServiceClient::new(desk.line().await?))
}

/// A term as `term` reads it.
pub fn shown_term(term: &tenancy::AgreementTerm) -> String {
    let mut text = format!("{}={}", term.category().as_str_name(), term.level().as_str_name()).to_lowercase();
    if !term.districts.is_empty() {
        text.push_str(&format!("@{}", term.districts.join(",")));
    }
    if !term.grants.is_empty() {
        text.push_str(&format!("#{}", term.grants.join(",")));
    }
    if term.write {
        text.push_str("+write");
    }
    text
}

fn table(agreements: &[tenancy::Agreement]) -> Table {
    let columns = &["id", "state", "revision", "custodian_id", "recipient_id", "terms", "from", "until", "purpose", "amendment"];
    let mut table = Table::new(columns);
    for agreement in agreements {
        let terms: Vec<_> = agreement.terms.iter().map(shown_term).collect();
        let amendment = agreement.amendment.as_ref().map(|a| a.revision);
        table.row([
            json!(agreement.id),
            json!(word(agreement.state().as_str_name(), "AGREEMENT_STATE_")),
            json!(agreement.revision),
            json!(agreement.custodian_id),
            json!(agreement.recipient_id),
            json!(terms),
            json!(shown_day(agreement.starts_on.as_ref())),
            json!(shown_day(agreement.ends_on.as_ref())),
            json!(agreement.purpose),
            json!(amendment),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_reads_as_it_is_shown() {
        for text in [
            "funding=aggregate#a,b",
            "registration=identified@RW33,RW43+write",
            "reporting=aggregate",
            "projects=identified+write",
        ] {
            assert_eq!(shown_term(&term(text).unwrap()), text);
        }
        for wrong in ["funding", "gossip=aggregate", "funding=naked", "funding=aggregate+read", ""] {
            assert!(term(wrong).is_err(), "{wrong}");
        }
    }
}
