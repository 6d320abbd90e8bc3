//! The diagnosis in plain words.

use std::io::{self, Write};

use outrigger_protocol::Printable;
use outrigger_sandbox::{Guarantee, Standing, Tier};

use super::{Diagnosis, Got, Kinds, Machine};

/// What a plugin cannot do where a guarantee holds.
fn meaning(guarantee: Guarantee) -> &'static str {
    match guarantee {
        Guarantee::FsRead => "it reads only what it was granted",
        Guarantee::FsWrite => "it changes only what it was granted",
        Guarantee::FsMetadata => "it does not see that other files and processes exist",
        Guarantee::Exec => "it executes only what it was granted",
        Guarantee::Network => "it reaches only the hosts that it was granted",
        Guarantee::IpcIsolation => "it reaches no socket, queue or shared memory of others",
        Guarantee::ProcessIsolation => "it does nothing to other processes",
        Guarantee::Memory => "its memory is bounded",
        Guarantee::Processes => "the number of its processes is bounded",
        Guarantee::Cpu => "its share of the processor is bounded",
        Guarantee::Disk => "the space that it fills is bounded",
        Guarantee::CleanupOnBrokerDeath => "nothing of it outlives the broker",
        Guarantee::EnvAndDescriptorsClean => "it inherits no variable and no open file",
        Guarantee::NoNewPrivileges => "no program gives it more rights than it has",
    }
}

impl Diagnosis {
    /// Writes it for people.
    ///
    /// # Errors
    /// `out` takes no more.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.machine.write(out)?;
        for (name, tier) in
            [(Tier::Namespaced, &self.tiers.namespaced), (Tier::Landlocked, &self.tiers.landlocked)]
        {
            writeln!(out, "\ntier {name}")?;
            tier.write(out)?;
        }
        writeln!(out)?;
        self.write_verdict("plugins of our own", self.gets.first_party, &self.refused.first_party, out)?;
        self.write_verdict("programs", self.gets.program, &self.refused.program, out)?;
        self.write_groups(out)
    }

    fn write_groups(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.states.is_empty() && self.failures.is_empty() {
            return Ok(());
        }
        writeln!(out)?;
        for failure in &self.failures {
            writeln!(out, "groups       {}", Printable(&failure.message))?;
            failure
                .hint
                .iter()
                .try_for_each(|hint| writeln!(out, "             hint: {}", Printable(hint)))?;
        }
        self.states.iter().try_for_each(|state| state.write(out))?;
        self.drift.iter().try_for_each(|drift| drift.write(out))
    }

    fn write_verdict(
        &self,
        who: &str,
        gets: Option<Tier>,
        refused: &[Guarantee],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let refused: Vec<&str> = refused.iter().map(|guarantee| guarantee.name()).collect();
        match gets {
            Some(tier) => writeln!(out, "{who} are started in the tier {tier}"),
            None if refused.is_empty() => writeln!(out, "{who} cannot be started: see above"),
            None => writeln!(out, "{who} are refused: every sandbox needs {}", refused.join(", ")),
        }
    }
}

impl Machine {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let kernel = self.kernel.as_deref().unwrap_or("of an unknown release");
        writeln!(out, "kernel       {} {}", self.system, Printable(kernel))?;
        match self.landlock_abi {
            Some(abi) => writeln!(out, "Landlock     version {abi}")?,
            None => writeln!(out, "Landlock     none")?,
        }
        let versions: Vec<String> = self.cgroups.iter().map(|version| format!("version {version}")).collect();
        let groups = if versions.is_empty() { "none".to_owned() } else { versions.join(" and ") };
        writeln!(out, "cgroups      {groups}")?;
        writeln!(
            out,
            "systemd      {}",
            if self.user_manager { "a user manager runs" } else { "no user manager" }
        )?;
        writeln!(out, "user         {}", if self.root { "root" } else { "not root" })?;
        if self.filtered {
            writeln!(out, "seccomp      somebody else's filter holds here already")?;
        }
        for (name, value) in &self.settings {
            writeln!(out, "setting      {name} = {}", Printable(value))?;
        }
        self.write_runtime(out)
    }

    fn write_runtime(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(path) = &self.runtime.path else { return Ok(()) };
        match &self.runtime.unsafe_because {
            Some(why) => writeln!(out, "runtime      UNSAFE: {}", Printable(why)),
            None if self.runtime.exists => writeln!(out, "runtime      {}: only ours", path.display()),
            None => writeln!(out, "runtime      {}: made when it is needed", path.display()),
        }
    }
}

impl Kinds<Got> {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { first_party, program } = self;
        for (who, got) in [("plugins of our own", first_party), ("programs", program)] {
            if let Some(why) = &got.missing {
                writeln!(out, "  not for {who}: {}", Printable(why))?;
                write_hint(got.hint.as_deref().unwrap_or_default(), out)?;
            }
        }
        Guarantee::ALL.into_iter().try_for_each(|guarantee| self.write_guarantee(guarantee, out))
    }

    /// One line where both stand the same, and where only one of them got the tier.
    fn write_guarantee(&self, guarantee: Guarantee, out: &mut dyn Write) -> io::Result<()> {
        let standing = |got: &Got| got.sandbox.as_ref().map(|report| report.standing(guarantee));
        match (standing(&self.first_party), standing(&self.program)) {
            (Some(own), Some(program)) if own != program => {
                write_standing(guarantee, " (plugins of our own)", &own, out)?;
                write_standing(guarantee, " (programs)", &program, out)
            }
            (Some(standing), _) | (None, Some(standing)) => write_standing(guarantee, "", &standing, out),
            (None, None) => Ok(()),
        }
    }
}

fn write_standing(
    guarantee: Guarantee,
    whose: &str,
    standing: &Standing,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (verdict, reason, hint) = match standing {
        Standing::Enforced => ("holds", "", ""),
        Standing::Advisory { reason, hint } => ("partly", reason.as_str(), hint.as_str()),
        Standing::Unavailable { reason, hint } => ("no", reason.as_str(), hint.as_str()),
    };
    writeln!(out, "  {verdict:7}{guarantee:27}{}{whose}", meaning(guarantee))?;
    if !reason.is_empty() {
        writeln!(out, "         {}", Printable(reason))?;
    }
    write_hint(hint, out)
}

fn write_hint(hint: &str, out: &mut dyn Write) -> io::Result<()> {
    if hint.is_empty() { Ok(()) } else { writeln!(out, "         hint: {}", Printable(hint)) }
}

#[cfg(test)]
mod tests {
    use outrigger_sandbox::Report;

    use super::*;

    fn written(kinds: &Kinds<Got>) -> String {
        let mut out = Vec::new();
        kinds.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn both_kinds_share_a_line_unless_they_differ() {
        let own = Report::nothing("no Landlock", "boot another kernel");
        let mut program = own.clone();
        program.set(Guarantee::Memory, Standing::advisory("no group", "run as root"));
        let text = written(&Kinds { first_party: Got::report(own), program: Got::report(program) });
        assert_eq!(text.matches("its memory is bounded").count(), 2, "{text}");
        assert_eq!(text.matches("its share of the processor").count(), 1, "{text}");
        assert!(
            text.contains("  partly memory")
                && text.contains("(programs)\n         no group\n         hint: run as root\n"),
            "{text}"
        );
        assert!(text.contains("         hint: boot another kernel\n"), "{text}");
    }

    #[test]
    fn a_tier_that_cannot_be_had_says_why() {
        let missing = Got { sandbox: None, missing: Some("EPERM".into()), hint: Some("a sysctl".into()) };
        let text = written(&Kinds { first_party: missing.clone(), program: missing });
        assert!(text.starts_with("  not for plugins of our own: EPERM\n         hint: a sysctl\n"), "{text}");
        assert_eq!(text.lines().count(), 4, "{text}");
    }
}
