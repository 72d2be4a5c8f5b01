//! User and password of a NATS server, from its URL: the client library reads none there.

use async_nats::ConnectOptions;
use percent_encoding::percent_decode_str;
use url::Url;

/// `options` with the login of the URL, if it has one.
pub(crate) fn with_login(options: ConnectOptions, url: &str) -> ConnectOptions {
    match login(url) {
        Some((user, password)) => options.user_and_password(user, password),
        None => options,
    }
}

fn login(url: &str) -> Option<(String, String)> {
    let url = Url::parse(url.split(',').next()?.trim()).ok()?;
    let plain = |part: &str| percent_decode_str(part).decode_utf8().ok().map(|text| text.into_owned());
    Some((plain(url.username()).filter(|user| !user.is_empty())?, plain(url.password()?)?))
}

#[cfg(test)]
mod tests {
    use super::login;

    #[test]
    fn user_and_password_are_taken_from_the_url() {
        let told = |url| login(url).map(|(user, password)| format!("{user} {password}"));
        assert_eq!(told("nats://registry:a%2Fb@nats:4222").as_deref(), Some("registry a/b"));
        assert_eq!(told("tls://registry:secret@one:4222,tls://two:4222").as_deref(), Some("registry secret"));
        assert_eq!(told("nats://nats:4222"), None);
        assert_eq!(told("nats:4222"), None);
    }
}
