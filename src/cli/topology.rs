//! `skydose topology`: what the broker must have before anyone works.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::{
    Ending, say,
    worker::{Configuration, runtime},
};
use crate::queue::{
    amqp::{Names, topology},
    management::{self, Management, Passwords},
};

/// Arguments of `topology`.
#[derive(Debug, Args)]
pub struct Topology {
    #[command(flatten)]
    configuration: Configuration,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Declare what is missing; set policies and the users' permissions.
    Apply(Apply),
    /// Say what differs from what should be there.
    Check,
    /// Print it as definitions that RabbitMQ imports.
    Print(Print),
}

#[derive(Debug, Args)]
struct Apply {
    /// A folder with the users' passwords, in files named `worker`,
    /// `submitter`, `leader`, `operator`: these users are made, or given the
    /// password. Users without a file must be there already.
    #[arg(long, value_name = "FOLDER")]
    passwords: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Print {
    /// With the users' permissions; the users must be there before the import.
    #[arg(long)]
    permissions: bool,
}

impl Topology {
    pub(super) fn run(self) -> anyhow::Result<Ending> {
        let config = self.configuration.read()?;
        let wanted = topology::Topology::new(&Names::new(&config.broker.prefix));
        match self.what {
            What::Apply(apply) => apply.run(&wanted, config.management),
            What::Check => check(&wanted, config.management),
            What::Print(print) => print.run(&wanted, &config.management.vhost),
        }
    }
}

fn client(settings: management::Settings) -> anyhow::Result<Management> {
    Management::new(settings).context("management")
}

impl Apply {
    fn run(self, wanted: &topology::Topology, settings: management::Settings) -> anyhow::Result<Ending> {
        let passwords = match &self.passwords {
            Some(folder) => read_passwords(folder, wanted)?,
            None => Passwords::new(),
        };
        let management = client(settings)?;
        let (report, left) = runtime()?.block_on(async {
            let report = management.apply(wanted, &passwords).await?;
            Ok::<_, anyhow::Error>((report, management.check(wanted).await?))
        })?;
        if !left.is_empty() {
            bail!("applied, and yet these differ:\n  {}", left.join("\n  "));
        }
        let mut text = format!(
            "{} exchanges, {} queues and {} policies are there in virtual host {}\n",
            wanted.exchanges.len(),
            wanted.queues.len(),
            wanted.policies.len(),
            management.vhost()
        );
        if !report.users.is_empty() {
            let _ = writeln!(text, "permissions set: {}", report.users.join(", "));
        }
        if !report.missing_users.is_empty() {
            let _ = writeln!(
                text,
                "users that are not there: {}; --passwords makes them, or rabbitmqctl add_user, then apply again",
                report.missing_users.join(", ")
            );
        }
        say(&text)?;
        Ok(Ending::Whole)
    }
}

/// A password a role that has a file.
fn read_passwords(folder: &std::path::Path, wanted: &topology::Topology) -> anyhow::Result<Passwords> {
    let mut passwords = BTreeMap::new();
    for user in &wanted.users {
        let path = folder.join(user.role);
        if !path.exists() {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("--passwords: {}", path.display()))?;
        let password = text.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            bail!("--passwords: {} is empty, expected a password", path.display());
        }
        passwords.insert(user.role.to_owned(), password.to_owned().into());
    }
    if passwords.is_empty() {
        let roles: Vec<&str> = wanted.users.iter().map(|user| user.role).collect();
        bail!("--passwords: {} holds none of the files {}", folder.display(), roles.join(", "));
    }
    Ok(passwords)
}

fn check(wanted: &topology::Topology, settings: management::Settings) -> anyhow::Result<Ending> {
    let management = client(settings)?;
    let differences = runtime()?.block_on(management.check(wanted))?;
    if !differences.is_empty() {
        bail!("{} differences:\n  {}", differences.len(), differences.join("\n  "));
    }
    say("all is as it should be\n")?;
    Ok(Ending::Whole)
}

impl Print {
    fn run(&self, wanted: &topology::Topology, vhost: &str) -> anyhow::Result<Ending> {
        let definitions = wanted.definitions(vhost, self.permissions);
        say(&format!("{}\n", serde_json::to_string_pretty(&definitions)?))?;
        Ok(Ending::Whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_come_from_files_named_by_role() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = topology::Topology::new(&Names::new("skydose"));
        let read = || read_passwords(folder.path(), &wanted).map(|p| p.into_keys().collect::<Vec<_>>());
        assert!(read().unwrap_err().to_string().contains("none of the files worker"));
        fs::write(folder.path().join("worker"), "secret\n").unwrap();
        assert_eq!(read().unwrap(), ["worker"]);
        fs::write(folder.path().join("leader"), "\n").unwrap();
        assert!(read().unwrap_err().to_string().contains("leader is empty"));
    }
}
