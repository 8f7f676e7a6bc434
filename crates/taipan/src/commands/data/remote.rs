//! The data of a process that has the state folder already: it is asked instead, through its API (`taipan-server/src/local/api.rs`).

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;
use taipan_server::percent_encoded;
use taipan_storage::StateFolder;
use ureq::http::{Method, Request, StatusCode};
use ureq::tls::TlsConfig;
use ureq::{Agent, AsSendBody, Body, SendBody};

use crate::report::hint;

/// The process, which has said where it listens and what it wants to be told.
#[derive(Clone)]
pub(super) struct Remote {
    agent: Agent,
    address: String,
    token: String,
}

/// A query's names and values.
pub(super) type Query<'a> = &'a [(&'a str, &'a str)];

impl Remote {
    /// The process that has the folder, if it can be asked.
    pub(super) fn find(folder: &Path) -> Option<Self> {
        let (address, token) = StateFolder::announced(folder)?;
        // What it calls itself in the terminal may mean several addresses.
        let address = address.replace("//localhost:", "//127.0.0.1:");
        // The certificate is of its own making; that it is the right process, the token's file says.
        let tls = TlsConfig::builder()
            .disable_verification(true)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls)
            .proxy(None)
            .build()
            .new_agent();
        let found = Self { agent, address, token };
        found.json(Method::GET, "stores", &[], SendBody::none()).is_ok().then_some(found)
    }

    /// Asks. None: there is no such thing.
    pub(super) fn ask(
        &self,
        method: Method,
        path: &str,
        query: Query<'_>,
        headers: Query<'_>,
        body: impl AsSendBody,
    ) -> Result<Option<Body>> {
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let url = format!("{}/cdn-cgi/local/api/{path}?{}", self.address, query.join("&"));
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("authorization", format!("Bearer {}", self.token)).body(body)?;
        let mut response = self.agent.run(request).context("cannot ask the running `taipan dev`")?;
        if response.status().is_success() {
            return Ok(Some(response.into_body()));
        }
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let said: Value = serde_json::from_str(&response.body_mut().read_to_string()?).unwrap_or_default();
        let text = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
        let error = anyhow!(text("error").unwrap_or_else(|| response.status().to_string()));
        Err(match text("hint") {
            Some(advice) => hint(error, advice),
            None => error,
        })
    }

    /// Asks for JSON.
    pub(super) fn json(
        &self,
        method: Method,
        path: &str,
        query: Query<'_>,
        body: impl AsSendBody,
    ) -> Result<Value> {
        let answer = self.ask(method, path, query, &[], body)?;
        let answer = answer.ok_or_else(|| anyhow!("the running `taipan dev` does not know: {path}"))?;
        Ok(serde_json::from_reader(answer.into_reader())?)
    }

    /// Asks for all bytes.
    pub(super) fn bytes(&self, path: &str, query: Query<'_>) -> Result<Option<Vec<u8>>> {
        let Some(answer) = self.ask(Method::GET, path, query, &[], SendBody::none())? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        answer.into_reader().read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}
