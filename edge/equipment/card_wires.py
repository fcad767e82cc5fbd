"""Card readers as edge.toml names them: the real card service, or a folder that plays one."""

from __future__ import annotations

from pathlib import Path

from devices.cards import CardReaders
from devices.psam_slot import PsamKeys, PsamSlot
from devices.simulated.wire import SimulatedReaders
from edge.config import BadConfig, EdgeConfig
from edge.equipment.card_source import CardReaderSource
from edge.equipment.device_list import CurrentList


def card_readers(config: EdgeConfig) -> CardReaders:
    """Not yet open. Raises BadConfig."""
    if config.readers.wire == "simulated":
        folder = Path(config.readers.simulated_folder)
        if not folder.is_dir():
            raise BadConfig(f"readers.simulated_folder: there is no folder {folder}; make it, or correct edge.toml")
        return SimulatedReaders(folder)
    try:
        from devices.pcsc import PcscReaders  # noqa: PLC0415 - pyscard is absent where only simulated wires are used
    except ImportError as error:
        raise BadConfig(f"card readers need pyscard ({error}); install it with the edge extra, or set readers.wire = "
                        '"simulated" in edge.toml') from error
    return PcscReaders()


def card_source(readers: CardReaders, config: EdgeConfig, listed: CurrentList) -> CardReaderSource:
    simulated = config.simulated or config.readers.wire == "simulated"
    if config.psam is None:
        return CardReaderSource(readers, listed.reader_names, simulated=simulated)
    psam = config.psam
    keys = PsamKeys(bytes.fromhex(psam.application), psam.internal_key, psam.external_key)
    return CardReaderSource(readers, listed.reader_names, PsamSlot(readers, psam.reader, {psam.algorithm: keys}), psam.reader,
                            simulated=simulated)
