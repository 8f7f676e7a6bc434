//! Load by `wrk`: many requests on kept connections.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// What `wrk` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    /// Requests per second.
    pub(crate) rate: f64,
    /// Milliseconds that half of the requests took at most.
    pub(crate) half: f64,
    /// Milliseconds that all but a hundredth took at most.
    pub(crate) most: f64,
}

/// Asks for `url` on this many connections for some seconds.
pub(crate) fn wrk(url: &str, connections: usize, seconds: usize) -> Result<Load> {
    let output = Command::new("wrk")
        .args(["--latency", "--threads", "1", "--connections", &connections.to_string()])
        .args(["--duration", &format!("{seconds}s"), url])
        .output()
        .context("cannot run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    parse(&text)
}

fn parse(text: &str) -> Result<Load> {
    let after = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label));
        line.map(str::trim).with_context(|| format!("wrk does not say {label}: {text}"))
    };
    if let Some(line) = text.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors")) {
        bail!("requests failed: {}", line.trim());
    }
    let rate = after("Requests/sec:")?.parse().context("not a number")?;
    Ok(Load { rate, half: milliseconds(after("50%")?)?, most: milliseconds(after("99%")?)? })
}

fn milliseconds(text: &str) -> Result<f64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        _ => bail!("not a time: {text}"),
    };
    Ok(number.parse::<f64>().with_context(|| format!("not a time: {text}"))? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_prints_is_understood() {
        let text = "Running 1s test\n  Latency Distribution\n     50%  812.00us\n     75%    1.00ms\n     99%    1.50s \n\
                    \x20 9 requests in 1.00s\nRequests/sec:   1234.50\nTransfer/sec: 1MB\n";
        assert_eq!(parse(text).unwrap(), Load { rate: 1234.5, half: 0.812, most: 1500.0 });
        assert!(parse(&format!("{text}  Non-2xx or 3xx responses: 3\n")).is_err());
        assert!(parse("").is_err());
    }
}
