//! How commands reach the broker: addresses from files or the environment,
//! since command lines can be seen by everyone on a machine.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::queue::{amqp, management};

/// Where the broker is. `SKYDOSE_BROKER__URI` holds its address, such as
/// `amqp://USER:PASSWORD@HOST:5672/VHOST`.
#[derive(Debug, Args)]
pub(super) struct Broker {
    /// A file that holds the broker's address instead of SKYDOSE_BROKER__URI.
    #[arg(long, value_name = "FILE", env = "SKYDOSE_BROKER__URI_FILE")]
    pub broker_uri_file: Option<PathBuf>,
    /// A file of the authorities that signed the broker's certificate.
    #[arg(long, value_name = "FILE.pem", env = "SKYDOSE_BROKER__CA_FILE")]
    pub broker_ca_file: Option<PathBuf>,
    #[command(flatten)]
    pub names: Prefix,
}

/// Where the management API is. `SKYDOSE_MANAGEMENT__URI` holds its address,
/// such as `http://USER:PASSWORD@HOST:15672`.
#[derive(Debug, Args)]
pub(super) struct Management {
    /// A file that holds the management API's address instead of
    /// SKYDOSE_MANAGEMENT__URI.
    #[arg(long, value_name = "FILE", env = "SKYDOSE_MANAGEMENT__URI_FILE")]
    pub management_uri_file: Option<PathBuf>,
    /// A file of the authorities that signed its certificate.
    #[arg(long, value_name = "FILE.pem", env = "SKYDOSE_MANAGEMENT__CA_FILE")]
    pub management_ca_file: Option<PathBuf>,
}

/// What names begin with.
#[derive(Debug, Args)]
pub(super) struct Prefix {
    /// What the names of exchanges and queues begin with.
    #[arg(long, value_name = "NAME", default_value = "skydose", env = "SKYDOSE_BROKER__PREFIX")]
    pub prefix: String,
}

/// The virtual host of the queues.
#[derive(Debug, Args)]
pub(super) struct Vhost {
    /// The virtual host of the queues.
    #[arg(long, value_name = "NAME", default_value = "/", env = "SKYDOSE_MANAGEMENT__VHOST")]
    pub vhost: String,
}

impl Broker {
    /// As the queue takes it.
    pub(super) fn settings(&self) -> amqp::Settings {
        let uri = std::env::var("SKYDOSE_BROKER__URI").ok().filter(|_| self.broker_uri_file.is_none());
        amqp::Settings {
            uri: uri.map(Into::into),
            uri_file: self.broker_uri_file.clone(),
            ca_file: self.broker_ca_file.clone(),
            prefix: self.names.prefix.clone(),
            ..amqp::Settings::default()
        }
    }
}

impl Management {
    /// A client.
    pub(super) fn client(&self, vhost: &Vhost) -> anyhow::Result<management::Management> {
        let uri = std::env::var("SKYDOSE_MANAGEMENT__URI").ok().filter(|_| self.management_uri_file.is_none());
        let settings = management::Settings {
            uri: uri.map(Into::into),
            uri_file: self.management_uri_file.clone(),
            ca_file: self.management_ca_file.clone(),
            vhost: vhost.vhost.clone(),
            ..management::Settings::default()
        };
        management::Management::new(settings).context("SKYDOSE_MANAGEMENT__URI or --management-uri-file")
    }
}

/// What waits for a broker.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("starting the runtime")
}
