//! `skydose control`: the leader's loop outside the workers; and orders to
//! pause scaling and to go on.

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::{
    Ending, say,
    worker::{Configuration, runtime},
};
use crate::{
    app,
    control::{Order, give_order},
    queue::JobQueue as _,
};

/// Arguments of `control`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Control {
    #[command(subcommand)]
    order: Option<Given>,
    #[command(flatten)]
    configuration: Configuration,
}

/// An order to whoever leads.
#[derive(Debug, Subcommand)]
enum Given {
    /// Scale nothing until told to go on, whoever leads.
    Pause {
        /// Who pauses and why, for everyone who looks.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        configuration: Configuration,
    },
    /// Scale again.
    Resume {
        #[command(flatten)]
        configuration: Configuration,
    },
}

impl Control {
    /// Takes part in the election and scales while it leads, until told to
    /// stop; or gives an order.
    ///
    /// # Errors
    /// What keeps it from starting, or a broker that does not take the order.
    pub fn run(self) -> anyhow::Result<Ending> {
        let (configuration, pause) = match self.order {
            None => {
                let config = self.configuration.read()?;
                runtime()?.block_on(app::control(config))?;
                return Ok(Ending::Whole);
            }
            Some(Given::Pause { reason, configuration }) => (configuration, Some(reason)),
            Some(Given::Resume { configuration }) => (configuration, None),
        };
        let config = configuration.read()?;
        let said = if pause.is_some() { "scaling is to pause\n" } else { "scaling is to go on\n" };
        runtime()?.block_on(async {
            let broker = app::broker(&config)?;
            let order = Order { pause, at: (app::clock())() };
            let given = give_order(broker.queue.as_ref(), &order).await.context("giving the order");
            broker.queue.close().await;
            given
        })?;
        say(said)?;
        Ok(Ending::Whole)
    }
}
