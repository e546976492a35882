"""Where the publishers of public traces keep them, for `hotbed traces fetch`.

Data only: addresses, and sizes and checksums where they are known. Addresses in a repository name
a commit, so that what they give cannot change. It opens no connection.
"""

import difflib
from dataclasses import dataclass
from typing import Final

from traces.formats.detect import Format
from traces.schema import TraceError

GITHUB: Final = "https://raw.githubusercontent.com"
AZURE: Final = f"{GITHUB}/Azure/AzurePublicDataset/b469a113cedca53ddc3bdea71a143dc4b7d8700c/data"
AZURE_BLOB: Final = "https://azurepublicdatasettraces.blob.core.windows.net"
AZURE_2024: Final = f"{AZURE_BLOB}/azurellminfererencetrace"  # spelt so by its publisher
MOONCAKE: Final = (
    f"{GITHUB}/kvcache-ai/Mooncake/3b5a594133958449a1feaf1c9e0fc1b553e34a28/FAST25-release/traces"
)
BURSTGPT: Final = "https://github.com/HPMLL/BurstGPT/releases/download"
ALIBABA: Final = f"{GITHUB}/alibaba/clusterdata/7a6c496e4f4b6ce6150be8f881cb051bf2abff42"
ELASTICFLOW: Final = f"{GITHUB}/pkusys/ElasticFlow/04a0109a6acdd7d89f4cb31b6a6a7a128bee6bb0"

CC_BY: Final = "CC-BY-4.0"
APACHE: Final = "Apache-2.0"
RESEARCH: Final = "research and study"


@dataclass(frozen=True, slots=True)
class Source:
    """One file. A `size_bytes` or `sha256` of None is not known before the first fetch.

    `read_as` is the format that reads it; None for an archive that has to be unpacked first.
    """

    name: str
    url: str
    what: str
    licence: str
    read_as: Format | None
    size_bytes: int | None = None
    sha256: str | None = None

    @property
    def file(self) -> str:
        return self.url.rpartition("/")[2]


SOURCES: Final = (
    Source(
        "azure-llm-2023-conv",
        f"{AZURE}/AzureLLMInferenceTrace_conv.csv",
        "an hour of chat requests, November 2023",
        CC_BY,
        Format.AZURE_LLM,
        719_188,
        "2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8",
    ),
    Source(
        "azure-llm-2023-code",
        f"{AZURE}/AzureLLMInferenceTrace_code.csv",
        "an hour of code completions, November 2023",
        CC_BY,
        Format.AZURE_LLM,
        320_117,
    ),
    Source(
        "azure-llm-2024-conv",
        f"{AZURE_2024}/AzureLLMInferenceTrace_conv_1week.csv",
        "a week of chat requests, May 2024",
        CC_BY,
        Format.AZURE_LLM,
    ),
    Source(
        "azure-llm-2024-code",
        f"{AZURE_2024}/AzureLLMInferenceTrace_code_1week.csv",
        "a week of code completions, May 2024",
        CC_BY,
        Format.AZURE_LLM,
    ),
    Source(
        "azure-functions-2019",
        f"{AZURE_BLOB}/azurepublicdatasetv2/azurefunctions_dataset2019/"
        "azurefunctions-dataset2019.tar.xz",
        "14 days of invocations by function and minute (unpack with tar)",
        CC_BY,
        None,
    ),
    Source(
        "azure-functions-2021",
        f"{AZURE}/AzureFunctionsInvocationTraceForTwoWeeksJan2021.rar",
        "two weeks of single invocations (unpack with RARLAB's unrar)",
        CC_BY,
        None,
        18_444_269,
    ),
    Source(
        "mooncake-conversation",
        f"{MOONCAKE}/conversation_trace.jsonl",
        "an hour of chat requests with prefix block ids",
        APACHE,
        Format.MOONCAKE,
        3_029_533,
        "b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df",
    ),
    Source(
        "mooncake-toolagent",
        f"{MOONCAKE}/toolagent_trace.jsonl",
        "an hour of requests of tools and agents with prefix block ids",
        APACHE,
        Format.MOONCAKE,
    ),
    Source(
        "mooncake-synthetic",
        f"{MOONCAKE}/synthetic_trace.jsonl",
        "a synthetic mix with prefix block ids",
        APACHE,
        Format.MOONCAKE,
    ),
    Source(
        "burstgpt",
        f"{BURSTGPT}/v1.1/BurstGPT_without_fails_2.csv",
        "ChatGPT and GPT-4 requests of a campus, 2nd part",
        CC_BY,
        Format.BURSTGPT,
    ),
    Source(
        "burstgpt-sessions",
        f"{BURSTGPT}/v2.0/BurstGPT_without_fails_3.csv",
        "the same with sessions and elapsed times, 3rd part",
        CC_BY,
        Format.BURSTGPT,
    ),
    Source(
        "gentd26",
        f"{ALIBABA}/cluster-trace-v2026-GenAI/lora_request_trace.csv",
        "23 days of requests by tenant and base model (image generation)",
        RESEARCH,
        Format.GENTD26,
    ),
    Source(
        "openb-pods",
        f"{ALIBABA}/cluster-trace-gpu-v2023/csv/openb_pod_list_default.csv",
        "149 days of pods on a GPU cluster, many on a part of a GPU",
        RESEARCH,
        Format.OPENB,
        575_468,
    ),
    Source(
        "philly-jobs",
        f"{ELASTICFLOW}/pollux/pollux_simulator/traces/philly.csv",
        "109 days of training jobs (Microsoft's Philly, as ElasticFlow carries it)",
        CC_BY,
        Format.PHILLY,
    ),
)

#: Traces that are folders of many files in a repository, and are taken with `git clone`.
FOLDERS: Final = (
    ("ServeGen's clients", "github.com/alibaba/ServeGen, data/"),
    ("WEKA's sessions", "github.com/callanjfox/kv-cache-tester, traces/"),
)


def source_named(name: str) -> Source:
    """Raises TraceError naming the sources there are."""
    for source in SOURCES:
        if source.name == name:
            return source
    names = [source.name for source in SOURCES]
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" (do you mean {close[0]!r}?)" if close else ""
    raise TraceError(
        f"trace {name!r} is not allowed{hint}: expected a URL, or one of {', '.join(names)}"
    )
