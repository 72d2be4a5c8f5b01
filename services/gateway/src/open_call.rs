//! A call that stays open outlives what was known of its caller when it began. While it is open the bearer is asked for
//! again; once its token no longer says the same, or nothing, the call is ended.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use tahuka_chassis::Refusal;
use tonic::Status;
use tonic::body::Body;

use crate::identity::{Identities, Known};

const ASK_AGAIN: Duration = Duration::from_secs(2);
/// What tenancy told of the bearer is good enough for this long: the calls of one bearer ask once.
const RECENT: Duration = Duration::from_secs(1);
/// How long a call goes on while tenancy does not answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Comes true when the call must end, with the reason.
pub(crate) type Verdict = Pin<Box<dyn Future<Output = Status> + Send>>;

pub(crate) fn watch(identities: Identities, token: String, began_as: Arc<Known>) -> Verdict {
    Box::pin(async move {
        let mut heard = Instant::now();
        loop {
            tokio::time::sleep(ASK_AGAIN).await;
            match identities.bearer_within(&token, RECENT).await {
                Ok(now) if now.bearer == began_as.bearer => heard = Instant::now(),
                Ok(_) => return Refusal::permission("what the caller may do has changed; call again").into(),
                Err(refusal @ Refusal::Unauthenticated) => return refusal.into(),
                Err(_) if heard.elapsed() < PATIENCE => {}
                Err(refusal) => return refusal.into(),
            }
        }
    })
}

/// The answer's body until the verdict.
pub(crate) struct Watched {
    /// None once it has ended.
    inner: Option<Body>,
    verdict: Verdict,
}

impl Watched {
    pub(crate) fn body(inner: Body, verdict: Verdict) -> Body {
        if inner.is_end_stream() { inner } else { Body::new(Watched { inner: Some(inner), verdict }) }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        // First of all: a stream that always has more would never be looked at.
        if let Poll::Ready(status) = this.verdict.as_mut().poll(cx) {
            this.inner = None;
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))));
        }
        let frame = std::task::ready!(Pin::new(inner).poll_frame(cx));
        if frame.is_none() {
            this.inner = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(http_body::Body::size_hint).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_stream_that_never_ends_is_ended_by_the_verdict() {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let endless = futures::stream::repeat_with(|| Ok::<_, Status>(Frame::data(Bytes::from_static(b"more"))));
        let verdict = Box::pin(async move {
            let _ = stopped.await;
            Status::permission_denied("no more")
        });
        let mut body = Watched::body(Body::new(http_body_util::StreamBody::new(endless)), verdict);
        for _ in 0..3 {
            assert!(body.frame().await.unwrap().unwrap().is_data());
        }
        stop.send(()).unwrap();
        let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(Status::from_header_map(&trailers).unwrap().code(), Code::PermissionDenied);
        assert!(body.frame().await.is_none());
    }
}
