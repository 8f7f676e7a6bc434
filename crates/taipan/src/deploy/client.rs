//! Asks a `taipan serve`, through its API (`taipan-server/src/deployments/admin.rs`).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use fs_err as fs;
use serde_json::Value;
use taipan_server::Admin;
use taipan_storage::StateFolder;
use ureq::http::{Method, Request};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, AsSendBody};

use crate::report::hint;
use crate::settings::ServerSettings;

const DEFAULT: &str = "http://127.0.0.1:8788";

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(30);

/// The server.
pub(crate) struct Client {
    agent: Agent,
    address: String,
    token: String,
}

/// An answer that is none: what the server says about it.
pub(crate) struct Refused {
    pub(crate) error: anyhow::Error,
    /// What the Worker said that did not start.
    pub(crate) report: Option<String>,
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        Self { error, report: None }
    }
}

impl Client {
    pub(crate) fn new(settings: &ServerSettings) -> Result<Self> {
        let of_state = |name: &str| settings.state.as_deref().map(|folder| read(folder, name)).transpose();
        let address = match &settings.server {
            Some(address) => address.clone(),
            None => of_state(Admin::ADDRESS_FILE)?.unwrap_or_else(|| DEFAULT.to_owned()),
        };
        let token = match &settings.token {
            Some(token) => Some(token.clone()),
            None => of_state(Admin::TOKEN_FILE)?,
        };
        let token = token.ok_or_else(|| {
            hint(
                anyhow!("there is no token for the server: {address}"),
                "give --state with the server's state folder, or its token as TAIPAN_TOKEN",
            )
        })?;
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .http_status_as_error(false)
            .tls_config(tls)
            .build()
            .new_agent();
        Ok(Self { agent, address: address.trim_end_matches('/').to_owned(), token })
    }

    /// Asks, below the API's root.
    pub(crate) fn ask(&self, method: Method, path: &str, body: impl AsSendBody) -> Result<Value, Refused> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/v1/{path}", self.address))
            .header("authorization", format!("Bearer {}", self.token))
            .body(body)
            .context("not the address of a server")?;
        let answered = self.agent.run(request).map_err(|error| {
            hint(
                anyhow::Error::from(error).context(format!("cannot ask the server: {}", self.address)),
                "start it with `taipan serve`, or name another one with --server",
            )
        });
        let mut response = answered?;
        let text = response.body_mut().read_to_string().context("the server's answer is not whole")?;
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        if response.status().is_success() && said.is_object() {
            return Ok(said);
        }
        let part = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
        let error = match part("error") {
            Some(error) => anyhow!(error),
            None => anyhow!("this is not `taipan serve`, it answers {}: {}", response.status(), self.address),
        };
        let error = match part("hint") {
            Some(advice) => hint(error, advice),
            None => error,
        };
        Err(Refused { error, report: part("report") })
    }
}

fn read(folder: &Path, name: &str) -> Result<String> {
    let path = StateFolder::path_in(folder).join(name);
    let text = fs::read_to_string(&path).map_err(|error| {
        hint(
            anyhow::Error::from(error).context("this is not the state folder of a `taipan serve`"),
            "name the folder that `taipan serve` was given as --state",
        )
    })?;
    Ok(text.trim().to_owned())
}
