"""The API's documents about account, site, circuit and charger; field names as recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from easee_load_balancer.simulation.easee.observations import Value, plain_number
from easee_load_balancer.simulation.plant.plant import Plant

Document = dict[str, Any]

_INSTALLED_AT = "2024-04-06T11:59:53.135015"
_UPDATED_AT = "2026-08-14T02:12:29.215533"
_BACK_PLATE = {"id": "ABCD1234567890", "masterBackPlateId": "ABCD1234567890"}


@dataclass(frozen=True, slots=True)
class CloudSpec:
    """The account, its one site, circuit and charger, and how the API behaves."""

    user_name: str = "owner@example.com"
    password: str = "simulated"
    charger_id: str = "EH123456"
    name: str = "Easee Home 12345"
    site_id: int = 54321
    circuit_id: int = 12345
    second_charger_id: str | None = None
    """Another charger on the same circuit, always without a car."""
    equalizer_id: str | None = None
    """The vendor's load balancer at the same site."""
    token_lifetime_s: float = 3600.0
    cloud_delay_s: float = 2.0
    """Real seconds from an observation until the API shows it."""
    rate_limits: bool = True


def circuits(spec: CloudSpec, plant: Plant) -> dict[int, list[str]]:
    """The ids of the chargers on each circuit, by the circuit's id."""
    second = [spec.second_charger_id] if spec.second_charger_id is not None else []
    found = {spec.circuit_id: [spec.charger_id, *second]}
    for number, other in enumerate(plant.others):
        found.setdefault(spec.circuit_id + other.circuit, []).append(other_id(number))
    return found


def chargers_with_cars(spec: CloudSpec, plant: Plant, circuit_id: int) -> list[str]:
    """The ids of the chargers on a circuit that have a car now and then."""
    ids = circuits(spec, plant)[circuit_id]
    return [id_ for id_ in ids if id_ != spec.second_charger_id]


def other_id(number: int) -> str:
    """The id of one of the house's further chargers."""
    return f"EH{200_001 + number}"


def chargers(spec: CloudSpec, plant: Plant) -> list[Document]:
    """/api/chargers: the charger with the car first."""
    return [charger(spec, id_) for ids in circuits(spec, plant).values() for id_ in ids]


def charger(spec: CloudSpec, charger_id: str) -> Document:
    """An entry of /api/chargers."""
    return {
        "id": charger_id,
        "name": _name(spec, charger_id),
        "color": 1,
        "createdOn": _INSTALLED_AT,
        "updatedOn": _UPDATED_AT,
        "backPlate": _BACK_PLATE,
        "levelOfAccess": 1,
        "productCode": 1,
        "userRole": 1,
    }


def _name(spec: CloudSpec, charger_id: str) -> str:
    if charger_id == spec.charger_id:
        return spec.name
    return "Guest parking" if charger_id == spec.second_charger_id else f"Charger {charger_id[-1]}"


def circuit(spec: CloudSpec, plant: Plant, circuit_id: int, ids: list[str]) -> Document:
    """A circuit with its chargers."""
    rated_a = plant.charger.circuit_max_current_a
    for other in plant.others:
        if spec.circuit_id + other.circuit == circuit_id != spec.circuit_id:
            rated_a = other.charger.circuit_max_current_a
    return {
        "id": circuit_id,
        "siteId": spec.site_id,
        "circuitPanelId": 1,
        "panelName": "1",
        "ratedCurrent": plain_number(max(rated_a)),
        "chargers": [charger(spec, id_) for id_ in ids],
        "masterBackplate": None,
        "useDynamicMaster": False,
        "parentCircuitId": None,
    }


def site(spec: CloudSpec, plant: Plant, *, detailed: bool) -> Document:
    """A site; without `detailed` its circuits are null."""
    return {
        "contactInfo": {
            "installerName": None,
            "installerPhoneNumber": None,
            "ownerName": "House Owner",
            "ownerPhoneNumber": None,
            "company": None,
        },
        "costPerKWh": 0.0,
        "vat": 0.0,
        "costPerKwhExcludeVat": 0.0,
        "currencyId": "EUR",
        "partnerId": 1,
        "siteType": 1,
        "ratedCurrent": plain_number(plant.spec.main_fuse_a),
        "useDynamicMaster": False,
        "circuits": _circuits(spec, plant) if detailed else None,
        "equalizers": _equalizers(spec) if detailed else None,
        "createdOn": _INSTALLED_AT,
        "updatedOn": _UPDATED_AT,
        "id": spec.site_id,
        "siteKey": "WAFE-1234",
        "name": "Simulated house",
        "levelOfAccess": 1,
        "address": {
            "street": "Sunny Side",
            "buildingNumber": "1a",
            "zip": "12345",
            "area": "Solarville",
            "country": {"id": "SE", "name": "Sweden", "phonePrefix": 46},
            "latitude": None,
            "longitude": None,
            "altitude": None,
        },
    }


def _circuits(spec: CloudSpec, plant: Plant) -> list[Document]:
    return [circuit(spec, plant, id_, ids) for id_, ids in circuits(spec, plant).items()]


def _equalizers(spec: CloudSpec) -> list[Document]:
    if spec.equalizer_id is None:
        return []
    return [{"id": spec.equalizer_id, "name": "Equalizer", "siteId": spec.site_id}]


def charger_config(seen: Mapping[int, Value]) -> Document:
    """/api/chargers/{id}/config, from what the charger has reported."""
    return {
        "isEnabled": seen[31],
        "lockCablePermanently": seen[30],
        "authorizationRequired": seen[42],
        "remoteStartRequired": seen[43],
        "smartButtonEnabled": seen[44],
        "wiFiSSID": "house",
        "detectedPowerGridType": seen[21],
        "offlineChargingMode": seen[45],
        "circuitMaxCurrentP1": plain_number(seen[22]),
        "circuitMaxCurrentP2": plain_number(seen[23]),
        "circuitMaxCurrentP3": plain_number(seen[24]),
        "enableIdleCurrent": seen[37],
        "limitToSinglePhaseCharging": None,
        "phaseMode": seen[38],
        "localNodeType": seen[146],
        "localAuthorizationRequired": False,
        "localRadioChannel": 6,
        "localShortAddress": 0,
        "localParentAddrOrNumOfNodes": 0,
        "localPreAuthorizeEnabled": True,
        "localAuthorizeOfflineEnabled": True,
        "allowOfflineTxForUnknownId": True,
        "maxChargerCurrent": plain_number(seen[47]),
        "ledStripBrightness": seen[40],
    }


def circuit_settings(seen: Mapping[int, Value]) -> Document:
    """/api/sites/{site}/circuits/{circuit}/settings, from what the charger has reported."""
    first_ids = {
        "dynamicCircuitCurrent": 111,
        "maxCircuitCurrent": 22,
        "offlineMaxCircuitCurrent": 50,
    }
    currents = {
        f"{name}P{phase + 1}": plain_number(seen[first_id + phase])
        for name, first_id in first_ids.items()
        for phase in range(3)
    }
    return {**currents, "enableIdleCurrent": seen[37]}
