"""RESULTS.md from measured JSON: every figure on the page comes from the file."""

from __future__ import annotations

from typing import Any

from layout import number, table
from prose import GOALS, METHOD, NOT_COMPARED, REASONS
from rows import ROWS, TAIL, Row

Json = dict[str, Any]
_FORMS = (("onnxruntime conv", "Conv"), ("onnxruntime conv2d", "H=1"), ("onnxruntime matmul", "MatMul"))
_OTHERS = ("torch", "openvino", "tract", "ncnn", "executorch", "litert")


def page_of(data: Json) -> str:
    """Return the whole page."""
    page = _Page(data)
    return (
        "\n\n".join(
            part
            for part in (
                page.head(),
                page.table(),
                page.misses(),
                page.avx2(),
                page.cold(),
                page.tail(),
                page.allocations(),
                page.size(),
                page.converters(),
                page.skins(),
                page.others(),
                NOT_COMPARED,
                METHOD,
            )
            if part
        )
        + "\n"
    )


def _limit(r: Json) -> tuple[float, str, float]:
    """Return our share of the limit that binds, its name, and onnxruntime's share of the same."""
    if r["percent_of_peak"] >= r["percent_of_read"]:
        return r["percent_of_peak"], "FMA", r.get("baseline_percent_of_peak", 0.0)
    return r["percent_of_read"], f"read ({r['weights_gb_s']:.0f} GB/s)", r.get("baseline_percent_of_read", 0.0)


class _Page:
    def __init__(self, data: Json) -> None:
        self.data, self.parts = data, data["parts"]
        self.networks = self.parts.get("networks", {}).get("rows", {})
        self.missed: list[tuple[str, str]] = []  # (what, by how much)

    def head(self) -> str:
        d, machine = self.data, self.data["machine"]
        caches = ", ".join(f"{name} {size}" for name, size in machine.get("caches", {}).items())
        model = f", family {machine['cpu_family']} model {machine['model']}" if "cpu_family" in machine else ""
        versions = ", ".join(f"{name} {version}" for name, version in d["versions"].items())
        net = self.parts.get("networks", {})
        peak = (
            f"{net['peak_gflops']:.1f} GFLOP/s of float32 multiply-adds ({net['isa']})" if "peak_gflops" in net else "-"
        )
        read = ", ".join(f"{level} {value:.0f} GB/s" for level, value in net.get("read_gb_s", {}).items())
        load = d.get("load_average", [0.0])[0]
        return "\n".join(
            [
                "# Results",
                "",
                "Written by `benchmarks/compare` from [results/comparison.json](results/comparison.json); `make bench` measures anew and",
                "rewrites this page. How it is measured stands at the end.",
                "",
                table(
                    ["", ""],
                    [
                        ["machine", f"{machine['cpu']}{model}, {machine['cores']} virtual cores, {caches}"],
                        ["measured peak of one core", peak],
                        ["measured reading speed of one core", read or "-"],
                        ["versions", versions],
                        ["date, commit", f"{d['date']}, {d['commit']}"],
                        ["command", f"`{d['command']}`"],
                        ["rounds", f"{net.get('rounds', '-')}; load average at the end {load:.1f}"],
                    ],
                ),
            ]
        )

    # ---- the target table -----------------------------------------------------------------------------------------------

    def table(self) -> str:
        lines = [
            "## The target table",
            "",
            "Times are microseconds of one hop, one thread. `limit`: the longer of what the multiply-adds take at this core's peak (FMA)",
            "and what it takes to only read the weights from where they stay (read), both measured in the same rounds, as a share of our time. `ratio` is onnxruntime's time over ours, against the fastest of",
            "its three forms (in bold). `ort limit` is how near onnxruntime itself comes to the same limit: where it is high, no engine can",
            "reach a high ratio on this processor.",
        ]
        group = ""
        rows: list[list[str]] = []
        for row in ROWS:
            if row.name not in self.networks or row.name in ("llvc_like", "beatrice_like"):
                continue
            if row.group != group:
                group = row.group
                rows.append([f"**{group}**"] + [""] * 11)
            rows.append(self._row(row, self.networks[row.name]))
        head = [
            "network",
            "ours",
            *(name for _, name in _FORMS),
            "torch",
            "limit",
            "goal",
            "ort limit",
            "ratio",
            "goal",
            "met",
        ]
        return "\n".join([*lines, "", table(head, rows)])

    def _row(self, row: Row, r: Json) -> list[str]:
        percent, kind, theirs = _limit(r)
        best = r["baseline"]
        forms = []
        for who, _ in _FORMS:
            us = r["us"].get(who)
            forms.append("-" if us is None else f"**{number(us)}**" if who == best else number(us))
        base = self._baseline(row, r)
        ratio = r["ratio"][base]
        goals = [f">= {row.percent:g} %"] if row.percent else []
        verdicts: list[str] = []
        if row.percent:
            verdicts.append(
                self._met(row.name, f"{percent:.0f} % of the limit for {row.percent:g} %", percent >= row.percent - 0.5)
            )
        if row.us:
            goals.append(f"<= {row.us:g} us")
            verdicts.append(
                self._met(row.name, f"{number(r['us']['rtvoice'])} us for {row.us:g} us", r["us"]["rtvoice"] <= row.us)
            )
        if row.bandwidth:
            goals.append(f">= {row.bandwidth:g} GB/s")
            verdicts.append(
                self._met(
                    row.name,
                    f"{r['weights_gb_s']:.0f} GB/s of weights for {row.bandwidth:g} GB/s (reading alone gives {r['read_gb_s']:.0f})",
                    r["weights_gb_s"] >= row.bandwidth,
                )
            )
        if row.faster_than and row.faster_than[0] in self.networks:
            fp32 = self.networks[row.faster_than[0]]["us"]["rtvoice"] / r["us"]["rtvoice"]
            goals.append(f">= {row.faster_than[1]:g}x own fp32 ({fp32:.2f}x)")
            verdicts.append(
                self._met(
                    row.name, f"{fp32:.2f} times our own fp32 for {row.faster_than[1]:g}", fp32 >= row.faster_than[1]
                )
            )
        if row.ratio:
            what = f"{ratio:.2f} times onnxruntime for {row.ratio:g}"
            verdicts.append(self._met(row.name, what, ratio >= row.ratio))
        against = f">= {row.ratio:g}x" + (" (Conv)" if row.conv_form_only else "") if row.ratio else ""
        met = (
            ""
            if not verdicts
            else "yes"
            if all(v == "yes" for v in verdicts)
            else "no"
            if all(v == "no" for v in verdicts)
            else "in part"
        )
        return [
            row.label,
            number(r["us"]["rtvoice"]),
            *forms,
            number(r["us"]["torch"]) if "torch" in r["us"] else "-",
            f"{percent:.0f} % {kind}",
            ", ".join(goals),
            f"{theirs:.0f} %",
            f"{ratio:.2f}x",
            against,
            met,
        ]

    @staticmethod
    def _baseline(row: Row, r: Json) -> str:
        """Return the fastest form, or the fastest of the convolutions where the goal says so."""
        forms = [who for who, name in _FORMS if who in r["us"] and not (row.conv_form_only and name == "MatMul")]
        return min(forms, key=lambda who: r["us"][who])

    def _met(self, name: str, what: str, met: bool) -> str:
        if not met:
            self.missed.append((name, what))
        return "yes" if met else "no"

    def misses(self) -> str:
        labels = {row.name: f"{row.group.split(',')[0].split(':')[0]}, {row.label}" for row in ROWS}
        lines = ["## Where a goal is missed, by how much and why", ""]
        grouped: dict[str, list[str]] = {}
        for name, what in self.missed:
            grouped.setdefault(name, []).append(what)
        if not grouped:
            return "\n".join([*lines, "Nowhere in this run."])
        rows = []
        for name, what in grouped.items():
            reasons = [self._ceiling(name, what), self._both(name, what), REASONS.get(name, "")]
            rows.append([labels.get(name, name), "; ".join(what), " ".join(reason for reason in reasons if reason)])
        return "\n".join([*lines, GOALS, "", table(["row", "measured for goal", "why"], rows)])

    def _ceiling(self, name: str, what: list[str]) -> str:
        """Tell what a perfect engine could reach here, from the limit measured in the same run."""
        row = next((row for row in ROWS if row.name == name), None)
        if row is None or row.ratio is None or not any("onnxruntime" in item for item in what):
            return ""
        r = self.networks[name]
        _, kind, theirs = _limit(r)
        if not 0 < theirs < 100:
            return ""
        limit = "peak" if kind == "FMA" else "reading speed"
        most = max(100 / theirs, r["ratio"][self._baseline(row, r)])
        verdict = "the goal is out of reach on this processor" if most < row.ratio else "there is room"
        conv = r["ratio"].get("onnxruntime conv", 0.0)
        other = (
            f" Against its rank-3 Conv form: {conv:.2f}."
            if r["baseline"] != "onnxruntime conv" and conv >= row.ratio
            else ""
        )
        return f"onnxruntime reaches {theirs:.0f} % of the {limit} itself, so a perfect engine would be {most:.2f} times as fast: {verdict}.{other}"

    def _both(self, name: str, what: list[str]) -> str:
        """Tell where a row is near two limits at once, or its goal beyond what can be read."""
        r = self.networks[name]
        row = next(row for row in ROWS if row.name == name)
        if row.bandwidth and r["read_gb_s"] < row.bandwidth:
            return "The goal is above what this core reads."
        near = min(r["percent_of_peak"], r["percent_of_read"])
        if near < 30 or not any("of the limit" in item or "fp32" in item for item in what):
            return ""
        return f"Multiply-adds alone are {r['percent_of_peak']:.0f} % of the time and reading alone {r['percent_of_read']:.0f} %: they overlap in part."

    # ---- other parts ----------------------------------------------------------------------------------------------------

    def avx2(self) -> str:
        part = self.parts.get("avx2", {})
        lines = ["## AVX2 only", ""]
        if "rows" not in part:
            return "\n".join([*lines, f"Not run: {part.get('not_run', 'left out of this run')}."])
        labels = {row.name: row for row in ROWS}
        rows = []
        slower = []
        for name, r in part["rows"].items():
            row = labels[name]
            percent, kind, _ = _limit(r)
            ratio = r["ratio"][r["baseline"]]
            if ratio < 1:
                slower.append(f"{row.label} ({ratio:.2f}x)")
            goal = f">= {row.percent:g} %" if row.percent else ""
            ok = ratio >= 1 and (not row.percent or percent >= row.percent - 0.5)
            rows.append(
                [
                    f"{row.group.split(',')[0].split(':')[0]}, {row.label}",
                    number(r["us"]["rtvoice"]),
                    number(r["us"][r["baseline"]]),
                    f"{percent:.0f} % {kind}",
                    goal,
                    f"{ratio:.2f}x",
                    ">= 1x",
                    "yes" if ok else "no",
                ]
            )
        verdict = "Nowhere slower than onnxruntime." if not slower else f"Slower than onnxruntime: {', '.join(slower)}."
        return "\n".join(
            [
                *lines,
                f"Our AVX2 kernels (`RTVOICE_ISA=AVX2`, peak {part['peak_gflops']:.1f} GFLOP/s) against the same onnxruntime held to AVX2: its",
                f"`cpuid` instructions are trapped and answered without AVX-512 ({part['masked_queries']} queries answered so). {verdict}",
                "",
                table(["network", "ours", "onnxruntime", "limit", "goal", "ratio", "goal", "met"], rows),
                *(["", REASONS["avx2"]] if any(row[-1] == "no" for row in rows) else []),
            ]
        )

    def cold(self) -> str:
        part = self.parts.get("cold", {})
        lines = ["## Cold hop", ""]
        if "cold" not in part:
            return "\n".join([*lines, f"Not run: {part.get('not_run', 'left out of this run')}."])
        labels = {row.name: row.label for row in ROWS}
        goals = {
            "tcn64_t160": ("<= 1.15x warm", None),
            "low256x8_t1": (">= 80 % of DRAM", 2.5),
            "low256x8_t1_fp16": ("", None),
        }
        rows = []
        for name, r in part["cold"].items():
            best = min((who for who in r["us"] if who.startswith("onnxruntime")), key=lambda who: r["us"][who])
            over = r["over_warm"]["rtvoice"]
            ok = (
                over <= 1.15
                if name == "tcn64_t160"
                else (r["percent_of_read"] >= 80 and r["ratio"][best] >= 2.5 if name == "low256x8_t1" else None)
            )
            rows.append(
                [
                    f"{labels[name]} ({r['weight_bytes'] / 1e6:.1f} MB)",
                    number(r["warm_us"]["rtvoice"]),
                    number(r["us"]["rtvoice"]),
                    f"{over:.2f}x",
                    f"{r['percent_of_read']:.0f} % of {r['read_gb_s']:.0f} GB/s",
                    goals[name][0],
                    number(r["us"][best]),
                    f"{r['ratio'][best]:.2f}x",
                    f">= {goals[name][1]:g}x" if goals[name][1] else "",
                    "" if ok is None else "yes" if ok else "no",
                ]
            )
        return "\n".join(
            [
                *lines,
                f"Between two hops, every line of {part['sweep_bytes'] >> 20} MB is read and written, as a game does. Reading the same bytes after the",
                "same sweep is the limit.",
                "",
                table(
                    [
                        "network",
                        "warm",
                        "cold",
                        "cold / warm",
                        "DRAM",
                        "goal",
                        "onnxruntime cold",
                        "ratio",
                        "goal",
                        "met",
                    ],
                    rows,
                ),
            ]
            + ["", *self._cold_notes(part["cold"])]
        )

    def _cold_notes(self, cold: Json) -> list[str]:
        r = cold["low256x8_t1"]
        best = min((who for who in r["us"] if who.startswith("onnxruntime")), key=lambda who: r["us"][who])
        share = 100 * r["read_us"] / r["us"][best]
        notes = [
            f"For the {r['weight_bytes'] / 1e6:.1f} MB network onnxruntime takes in its weights at {share:.0f} % of the reading speed itself: in float32 a",
            f"perfect engine would be {max(100 / share, r['ratio'][best]):.2f} times as fast. Fewer bytes are what helps: the fp16 row, {cold['low256x8_t1_fp16']['ratio'][best]:.2f}x.",
        ]
        if any(row["percent_of_read"] > 100 for row in cold.values()):
            notes.append("Where the share is above 100 %, a network's own fetching ahead beats the plain reading loop.")
        return [*notes, *([REASONS["cold"]] if "cold" in REASONS else [])]

    def tail(self) -> str:
        part = self.parts.get("tail", {})
        lines = ["## Tail under load", ""]
        if not part.get("tail"):
            return "\n".join(
                [*lines, f"Not run: {part.get('tail_not_run', part.get('not_run', 'left out of this run'))}."]
            )
        label = next(row.label for row in ROWS if row.name == TAIL)
        rows = []
        for who, r in part["tail"].items():
            ratio = r["p99_over_warm_p50"]
            rows.append(
                [
                    who,
                    number(r["warm_p50_us"]),
                    number(r["p50_us"]),
                    number(r["p99_us"]),
                    number(r["p99.9_us"]),
                    number(r["max_us"]),
                    f"{ratio:.2f}",
                    "<= 1.3" if who == "rtvoice" else "",
                    ("yes" if ratio <= 1.3 else "no") if who == "rtvoice" else "",
                ]
            )
        hops = next(iter(part["tail"].values()))["hops"]
        return "\n".join(
            [
                *lines,
                f"TCN {label}: {hops} hops, one every 10 ms, SCHED_FIFO, wall time, while a process per core does arithmetic over 32 MB at normal",
                "priority. The yardstick is the warm median without that load. `registers only` is a loop of multiply-adds that touches no memory: what it",
                "takes longer is the machine's own.",
                "",
                table(["", "warm p50", "p50", "p99", "p99.9", "max", "p99 / warm p50", "goal", "met"], rows),
                *(["", REASONS["tail"]] if any(row[-1] == "no" for row in rows) else []),
            ]
        )

    def allocations(self) -> str:
        part = self.parts.get("allocations", {})
        lines = ["## Allocations a hop", ""]
        if not part.get("allocations"):
            return "\n".join(
                [*lines, f"Not run: {part.get('allocations_not_run', part.get('not_run', 'left out of this run'))}."]
            )
        labels = {row.name: f"{row.group.split(',')[0].split(':')[0]}, {row.label}" for row in ROWS}
        rows = []
        for name, r in part["allocations"].items():
            ours = max(count for who, count in r.items() if who.startswith("rtvoice"))
            rows.append(
                [
                    labels[name],
                    f"{ours:g}",
                    *(f"{r[who]:.0f}" if who in r else "-" for who, _ in _FORMS),
                    "0",
                    "yes" if ours == 0 else "no",
                ]
            )
        return "\n".join(
            [
                *lines,
                "Counted by a preloaded malloc; onnxruntime by the form of the file. Locks and system calls are counted by the proofs.",
                "",
                table(["network", "ours", *(f"onnxruntime {name}" for _, name in _FORMS), "goal", "met"], rows),
            ]
        )

    def size(self) -> str:
        part = self.parts.get("size", {}).get("size")
        lines = ["## Size and loading", ""]
        if not part:
            return "\n".join([*lines, "Not run: left out of this run."])
        rows = []
        if "library_bytes" in part:
            mb = part["library_bytes"] / 1e6
            rows.append(
                [
                    "librtvoice.so, stripped",
                    f"{mb:.3f} MB",
                    "<= 1 MB",
                    f"onnxruntime {part['onnxruntime_bytes'] / 1e6:.0f} MB",
                    "yes" if mb <= 1 else "no",
                ]
            )
        ms = part["load_ms"]
        rows.append(
            [
                f"a {part['model_bytes'] / 1e6:.1f} MB model, from the file to an engine (CPU time)",
                f"{ms['rtvoice']:.1f} ms",
                "<= 20 ms",
                f"onnxruntime {ms['onnxruntime']:.1f} ms",
                "yes" if ms["rtvoice"] <= 20 else "no",
            ]
        )
        notes = ["", REASONS["size"]] if "size" in REASONS and any(row[-1] == "no" for row in rows) else []
        return "\n".join([*lines, table(["", "ours", "goal", "beside it", "met"], rows), *notes])

    def converters(self) -> str:
        found = [row for row in ROWS if row.name in ("llvc_like", "beatrice_like") and row.name in self.networks]
        if not found:
            return ""
        rows = []
        for row in found:
            r = self.networks[row.name]
            hop = 13_000.0 if row.name == "llvc_like" else 10_000.0
            rows.append(
                [
                    row.label,
                    f"{r['weight_bytes'] / 1e6:.1f} MB, {r['macs'] / 1e6:.1f} M",
                    number(r["us"]["rtvoice"]),
                    f"{100 * r['us']['rtvoice'] / hop:.1f} %",
                    f"{r['percent_of_peak']:.0f} %",
                    f"{r['percent_of_read']:.0f} %",
                    *(number(r["us"][who]) if who in r["us"] else "-" for who, _ in _FORMS),
                    f"{r['ratio'][r['baseline']]:.2f}x",
                ]
            )
        return "\n".join(
            [
                "## Whole converters, random weights",
                "",
                "Built after the published layer lists, LLVC's two attentions over a ring of keys among them. Left out on both sides: Beatrice's pulse",
                "placement, its difference function and its attention.",
                "",
                table(
                    [
                        "network",
                        "weights, MAC a hop",
                        "ours",
                        "of a core",
                        "of FMA",
                        "of read",
                        *(f"ort {name}" for _, name in _FORMS),
                        "ratio",
                    ],
                    rows,
                ),
            ]
        )

    def skins(self) -> str:
        part = self.parts.get("skins", {}).get("skins")
        if not part:
            return ""
        rows = []
        for name, r in part.items():
            if "not_run" in r:
                rows.append([name, f"not run: {r['not_run']}"] + [""] * 8)
                continue
            host, cold = r["us"].get("rtvoice host", 0.0), r["cold_us"].get("rtvoice host", 0.0)
            default = name.endswith("default")
            goal = (1, 3) if default else (3, 7)
            load, cold_load = 100 * host / r["hop_us"], 100 * cold / r["hop_us"]
            best = r.get("baseline")
            rows.append(
                [
                    name,
                    number(r["us"]["rtvoice"]),
                    number(host),
                    f"{load:.2f} %",
                    f"<= {goal[0]} %",
                    f"{cold_load:.2f} %",
                    f"<= {goal[1]} %",
                    number(r["us"][best]) if best else "-",
                    f"{r['ratio'][best]:.2f}x" if best else "-",
                    "yes" if load <= goal[0] and cold_load <= goal[1] else "no",
                ]
            )
        refusals = sorted(
            {
                f"{who}: {why}"
                for r in part.values()
                for who, why in r.get("refused", {}).items()
                if who.startswith("onnxruntime")
            }
        )
        notes = ["", REASONS["skins"]] if any(row[-1] == "no" for row in rows) else []
        notes += [] if not refusals else ["", "Where onnxruntime has no figure: " + "; ".join(refusals) + "."]
        return "\n".join(
            [
                "## Shipped skins",
                "",
                "`network` is the network alone at its own rate, `host` a call of `rtv_engine_process` with one hop at 48 kHz, resampling in both",
                "directions included. onnxruntime runs the network alone, with its random numbers given to it.",
                "",
                table(
                    [
                        "skin",
                        "network",
                        "host",
                        "of a core",
                        "goal",
                        "cold",
                        "goal",
                        "onnxruntime network",
                        "ratio",
                        "met",
                    ],
                    rows,
                ),
                *notes,
            ]
        )

    def others(self) -> str:
        rows = [row for row in ROWS if row.name in self.networks and row.peers]
        if not rows:
            return ""
        seen = [
            who
            for who in _OTHERS
            if any(who in self.networks[row.name]["us"] or who in self.networks[row.name]["refused"] for row in rows)
        ]
        lines = []
        for row in rows:
            r = self.networks[row.name]
            cells = [f"{r['ratio'][who]:.1f}x" if who in r["ratio"] else "-" for who in seen]
            lines.append(
                [
                    f"{row.group.split(',')[0].split(':')[0]}, {row.label}",
                    number(r["us"]["rtvoice"]),
                    f"{r['ratio'][r['baseline']]:.2f}x",
                    *cells,
                ]
            )
        refusals = [
            f"- {who}, {row.label}: {self.networks[row.name]['refused'][who]}"
            for row in rows
            for who in seen
            if who in self.networks[row.name]["refused"]
        ]
        return "\n".join(
            [
                "## Other engines",
                "",
                "Their time over ours, in the same rounds; larger is slower than ours. All but onnxruntime are called through their Python binding,",
                "which costs them a few microseconds, and timed in CPU time of the whole process.",
                "",
                table(["network", "ours (us)", "onnxruntime", *seen], lines),
                *(["", "Where there is no figure:", "", *refusals] if refusals else []),
            ]
        )
