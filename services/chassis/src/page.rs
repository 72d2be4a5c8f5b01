//! Keyset pagination (AIP-158): pages by ascending id, with a sealed token that is good only for
//! the caller and the filter that it was made for, and from which nobody reads the id.

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use sha2::Sha256;
use uuid::Uuid;

use crate::caller::Caller;
use crate::config::Config;
use crate::pseudonym;
use crate::refusal::Refusal;
use crate::seed_ring::{Following, Seed, SeedRing};

const DEFAULT_SIZE: i32 = 50;
const LARGEST_SIZE: i32 = 1000;

static KEYS: Following = Following::nothing();

/// Uses the installation's keys, from the start on.
pub(crate) fn follow(config: &Config) -> Result<(), Refusal> {
    KEYS.follow(SeedRing::of_pages(config))
}

/// The rows of one page and one more, by ascending id.
pub fn keyset<E: EntityTrait>(select: Select<E>, id: E::Column, page: &Page) -> Select<E> {
    let select = match page.after {
        Some(after) => select.filter(id.gt(after)),
        None => select,
    };
    select.order_by_asc(id).limit(page.size + 1)
}

/// One page of a list that is sorted by id.
#[derive(Debug, Clone)]
pub struct Page {
    pub size: u64,
    /// The last id of the page before.
    pub after: Option<Uuid>,
    binding: String,
}

impl Page {
    /// `filter` is the request's filter in one string: a token made for another filter is refused.
    pub fn parse(page_size: i32, page_token: &str, caller: &Caller, filter: &str) -> Result<Self, Refusal> {
        let size = match page_size {
            i32::MIN..0 => return Err(Refusal::invalid("page_size", "must not be negative")),
            0 => DEFAULT_SIZE,
            n => n.min(LARGEST_SIZE),
        };
        let binding = format!("{}\n{}\n{filter}", caller.tenant_id, caller.subject);
        let mut page = Page { size: size.unsigned_abs().into(), after: None, binding };
        if !page_token.is_empty() {
            let refused = || Refusal::invalid("page_token", "must be the token of the page before, with the same filter");
            let bytes = URL_SAFE_NO_PAD.decode(page_token).map_err(|_| refused())?;
            let (sealed, mac) = bytes.split_first_chunk::<16>().ok_or_else(refused)?;
            // Of whichever key made it: they change while pages are turned.
            let keys = KEYS.seeds();
            let made = |seed: &&Seed| page.mac(&seed.secret, sealed).is_ok_and(|told| told.verify_slice(mac).is_ok());
            let key = keys.all().find(made).ok_or_else(refused)?;
            page.after = Some(pseudonym::decrypt(&page.cipher(&key.secret).ok_or_else(refused)?, *sealed));
        }
        Ok(page)
    }

    /// The token of the page that follows `last`.
    pub fn token(&self, last: Uuid) -> String {
        let keys = KEYS.seeds();
        let key = &keys.used().secret;
        let Some(sealed) = self.cipher(key).map(|cipher| pseudonym::encrypt(&cipher, last)) else { return String::new() };
        let mut bytes = sealed.to_vec();
        if let Ok(mac) = self.mac(key, &sealed) {
            bytes.extend(mac.finalize().into_bytes());
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Cuts `size + 1` fetched rows to the page, with the next token (empty on the last page).
    pub fn cut<R>(&self, mut rows: Vec<R>, id: impl Fn(&R) -> Uuid) -> (Vec<R>, String) {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        if rows.len() <= size {
            return (rows, String::new());
        }
        rows.truncate(size);
        let token = rows.last().map(|row| self.token(id(row))).unwrap_or_default();
        (rows, token)
    }

    fn cipher(&self, key: &[u8; 32]) -> Option<Aes256> {
        pseudonym::cipher(key, &[b"page", self.binding.as_bytes()])
    }

    fn mac(&self, key: &[u8; 32], sealed: &[u8]) -> Result<Hmac<Sha256>, Refusal> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(Refusal::internal)?;
        mac.update(self.binding.as_bytes());
        mac.update(sealed);
        Ok(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids;

    #[test]
    fn a_token_tells_no_id_and_is_good_for_its_caller_and_filter_alone() {
        let caller = Caller { tenant_id: ids::new_id(), ..Caller::system("test") };
        let last = ids::new_id();
        let token = Page::parse(0, "", &caller, "households").unwrap().token(last);
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        assert!(!bytes.windows(6).any(|part| part == &last.as_bytes()[..6]), "not even the time of its making");
        assert_eq!(Page::parse(0, &token, &caller, "households").unwrap().after, Some(last));
        let stranger = Caller { tenant_id: ids::new_id(), ..caller.clone() };
        for refused in [Page::parse(0, &token, &stranger, "households"), Page::parse(0, &token, &caller, "individuals")] {
            assert!(refused.is_err());
        }
    }
}
